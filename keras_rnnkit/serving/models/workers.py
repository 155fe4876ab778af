"""The threads on which longer runs go."""

from __future__ import annotations

import contextlib
import os
import threading
from concurrent.futures import Executor, ThreadPoolExecutor

NICER = 5
"""How much less urgent long runs are to the processor than the event loop. Linux counts this for each thread."""


class Workers:
    """A pool of threads for each pace, so that a run of milliseconds never waits behind one of seconds."""

    def __init__(self, count: int):
        self.pools = {
            "short": ThreadPoolExecutor(count, thread_name_prefix="short"),
            "long": ThreadPoolExecutor(count, thread_name_prefix="long", initializer=give_way),
        }

    def of(self, pace: str) -> Executor:
        return self.pools[pace]

    def close(self) -> None:
        for pool in self.pools.values():
            pool.shutdown(wait=False, cancel_futures=True)


def give_way() -> None:
    """Let the event loop go first where both want the same processor."""
    with contextlib.suppress(AttributeError, OSError):  # other systems have no such setting for a thread
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICER)

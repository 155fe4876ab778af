"""Ctrl-C and SIGTERM: training stops after the batch in progress, anything else stops at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from keras_rnnkit.runs.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """A context in which SIGINT and SIGTERM raise `Interrupted`.

    While `deferred` is true, the first signal is only noted in `requested`, so that the code in progress can reach a
    point where nothing is half done. The second signal always raises.
    """

    def __init__(self) -> None:
        self.deferred = False
        self.requested: int | None = None
        self._earlier: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():  # Python refuses handlers elsewhere
            self._earlier = {number: signal.signal(number, self._handle) for number in SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.deferred and self.requested is None:
            self.requested = number
            return
        raise Interrupted(number)

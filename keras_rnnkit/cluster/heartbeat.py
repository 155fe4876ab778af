"""The file by which a worker shows its supervisor that its training goes on.

The supervisor names a folder in the environment. While a worker trains, it touches a file there after every batch. A
worker that is stopped, or waits for one that is, touches it no more, and all are restarted.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

FOLDER = "RNNKIT_HEARTBEATS"
"""The variable of the environment that names the folder."""


class Heartbeat:
    """The file of one worker.

    Arguments:
        path: the file; None where nobody watches.
    """

    def __init__(self, path: Path | None):
        self.path = path

    @classmethod
    def of_worker(cls, index: int) -> Heartbeat:
        """That of a worker of the supervisor who started this process, if one did."""
        folder = os.environ.get(FOLDER)
        return cls(Path(folder) / f"worker{index}" if folder else None)

    def beat(self) -> None:
        """Show that the training goes on. From the first call on, silence is a failure."""
        if self.path is not None:
            with contextlib.suppress(OSError):  # the supervisor may be gone
                self.path.touch()

    def rest(self) -> None:
        """Silence is no failure from here on: no batch is being trained on."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def silence(self) -> float:
        """Seconds since the last sign, 0 where none is expected."""
        try:
            return time.time() - self.path.stat().st_mtime if self.path is not None else 0.0
        except OSError:
            return 0.0

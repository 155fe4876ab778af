"""A folder belongs to one process at a time."""

from __future__ import annotations

import os
from pathlib import Path

from keras_rnnkit.settings import SettingsError

NAME = ".lock"
"""The locked file. An export locks the folder itself, so a run must lock something else."""


class FolderLock:
    """Keeps other runs out of a folder until it is released, or the process ends in whatever way.

    Where the system or the file system has no locks, it does nothing.

    Arguments:
        folder: the folder, which must exist.
    """

    def __init__(self, folder: Path):
        self.descriptor: int | None = os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            lock(self.descriptor)
        except BlockingIOError:
            self.release()
            raise SettingsError(
                f"Another process is running in {folder}. Wait until it has ended, or choose another folder with --out."
            ) from None

    def release(self) -> None:
        """Let others in."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


def lock(descriptor: int) -> None:
    """Lock an open file; BlockingIOError where another process has locked it."""
    try:
        from fcntl import LOCK_EX, LOCK_NB, flock
    except ImportError:  # Windows
        return
    try:
        flock(descriptor, LOCK_EX | LOCK_NB)
    except OSError as error:
        if isinstance(error, BlockingIOError):
            raise
        # Otherwise it is a file system without locks.

"""One folder in the place of another in a single step, and locks that end with the process that holds them."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from keras_rnnkit.runtime.bundle_files import UNFINISHED

if sys.platform == "win32":  # without locks, so nothing is swept
    LOCK_EX = LOCK_NB = LOCK_UN = 0

    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "This system has no locks")
else:
    from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock

REPLACED = ".rnnkit-old"
"""How the name of an earlier folder ends while a new one takes its place on systems that cannot exchange them."""
AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of Linux, <fcntl.h> and <linux/fs.h>
NO_EXCHANGE = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}
TRIES = 100


def lock_of(path: Path, flags: int) -> int:
    """The path opened and locked; the lock ends with `os.close`, or with the process."""
    descriptor = os.open(path, flags, 0o666)
    with contextlib.suppress(OSError):  # a file system without locks
        flock(descriptor, LOCK_EX)
    return descriptor


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Inside, no other export begins or ends in this folder.

    A folder that is itself unfinished belongs to one export, which has locked it: nobody else writes into it.
    """
    if folder.name.endswith(UNFINISHED):
        yield
        return
    descriptor = lock_of(folder, os.O_RDONLY)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            flock(descriptor, LOCK_UN)  # at once, even if a child process has the file open too
        os.close(descriptor)


def is_abandoned(path: Path) -> bool:
    """Whether the process that wrote this is dead: nobody holds the lock any more."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        return try_lock(descriptor)
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Whether the lock was free. Where there are no locks, it never is."""
    try:
        flock(descriptor, LOCK_EX | LOCK_NB)
        return True
    except OSError:
        return False


def put_in_place(new: Path, path: Path) -> Path | None:
    """Rename a folder to `path`. Returns where the folder is now that had this name before, None if there was none."""
    for _ in range(TRIES):
        try:
            os.rename(new, path)  # takes the place of nothing, or of an empty folder
            return None
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        with contextlib.suppress(FileNotFoundError):  # somebody removed the folder between the two calls
            return exchanged(new, path)
    raise OSError(errno.EBUSY, "The folder appears and vanishes all the time", str(path))


def exchanged(new: Path, path: Path) -> Path:
    """Both folders under each other's name; where that cannot be done in one step, in two."""
    try:
        exchange(new, path)
        return new
    except OSError as error:
        if error.errno not in NO_EXCHANGE:
            raise
    earlier = new.with_suffix(REPLACED)
    os.rename(path, earlier)
    try:
        os.rename(new, path)
    except BaseException:
        os.rename(earlier, path)
        raise
    return earlier


def exchange(a: Path, b: Path) -> None:
    """Two names for each other's folders, in one step that nobody sees the middle of."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if os.name == "posix" else None
    if rename is None:
        raise OSError(errno.ENOSYS, "This system cannot exchange two folders")
    if rename(AT_FDCWD, os.fsencode(a), AT_FDCWD, os.fsencode(b), RENAME_EXCHANGE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(a), None, str(b))


def recover(path: Path) -> None:
    """Clean up after an export that was killed while it took two steps: give the earlier folder its name back.

    Where the new folder was in place already, the earlier one is removed.
    """
    start = f".{path.name}."
    for earlier in path.parent.iterdir():
        named = earlier.name.startswith(start) and earlier.name.endswith(REPLACED)
        if named and len(earlier.name) == len(start) + 8 + len(REPLACED) and is_abandoned(earlier):
            if path.exists():
                shutil.rmtree(earlier, ignore_errors=True)
            else:
                os.rename(earlier, path)

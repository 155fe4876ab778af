"""Writing a file or a folder so that it is there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from keras_rnnkit.export.errors import ExportError

LIMIT = 2**31 - 1
"""Bytes that a protobuf message, and therefore a one-file ONNX graph, may have."""


def checked(path: str | os.PathLike) -> Path:
    """The path as one that can be written to."""
    path = Path(path).expanduser()
    folder = path.absolute().parent
    if path.is_dir():
        raise ExportError(
            f"The path names a folder. Received: {str(path)!r}. Give a file, such as {str(path / 'model.onnx')!r}."
        )
    if not folder.is_dir():
        raise ExportError(
            f"There is no folder {str(folder)!r} to write {path.name!r} to. Make it first, or give another path."
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ExportError(
            f"The folder {str(folder)!r} cannot be written to. Change its permissions, or give another path."
        )
    return path


def write(path: Path, content: bytes) -> None:
    """Write under a temporary name in the same folder, then rename: nobody sees half a file."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.absolute().parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o666 & ~umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def checked_folder(path: str | os.PathLike, mark: str) -> Path:
    """The path as one of a folder to write; one that is there is replaced only if it holds the file `mark`."""
    path = Path(path).expanduser().absolute()
    if path.exists() and not path.is_dir():
        raise ExportError(f"The path names a file. Received: {str(path)!r}. Give a folder.")
    if path.is_dir() and any(path.iterdir()) and not (path / mark).exists():
        raise ExportError(
            f"The folder {str(path)!r} holds other things and no {mark}, so it is not replaced. Give a new folder, or "
            "empty it."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise ExportError(f"The folder {str(path.parent)!r} cannot be written to. Give another path.")
    return path


@contextlib.contextmanager
def folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path` that takes its name when all went well; otherwise nothing is left of it."""
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    before = temporary.with_suffix(".before")
    try:
        yield temporary
        os.chmod(temporary, 0o777 & ~umask())
        if path.exists():
            os.replace(path, before)
        os.replace(temporary, path)
    finally:
        if before.exists() and not path.exists():
            os.replace(before, path)
        for rest in (temporary, before):
            shutil.rmtree(rest, ignore_errors=True)


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

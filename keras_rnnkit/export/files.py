"""Writing a file so that it is there whole or not at all."""

from __future__ import annotations

import os
import tempfile
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


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

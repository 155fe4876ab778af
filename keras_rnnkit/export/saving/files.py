"""Writing a file or a folder so that it is there whole or not at all, and so that nothing of anybody else is lost.

Everything is written under a temporary name beside its destination, and renamed when it is complete. The temporary
name is locked as long as its process lives, so the next export to the same destination can tell what a killed one has
left behind. Of two exports to one destination, the last one to finish stays.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.saving import folder_swap
from keras_rnnkit.export.saving.folder_swap import lock_of, locked
from keras_rnnkit.runtime import BundleError
from keras_rnnkit.runtime import manifest as manifests
from keras_rnnkit.runtime.bundle_files import UNFINISHED, is_unfinished, read_manifest

if TYPE_CHECKING:
    from onnx import ModelProto

LIMIT = 2**31 - 1
"""Bytes that a protobuf message, and therefore a one-file ONNX graph, may have."""
LISTING = "assets.extra/keras_rnnkit.json"
"""The list of files in a SavedModel of ours. TensorFlow leaves the folder assets.extra to others."""


def serialized(model: ModelProto) -> bytes:
    """The bytes of a file."""
    if model.ByteSize() > LIMIT:
        raise ExportError(
            f"The graph has {model.ByteSize() / 1e9:.1f} GB, and a one-file ONNX graph may have 2.1 GB. Export the "
            "parts of the model by themselves."
        )
    return model.SerializeToString()


def checked(path: str | os.PathLike) -> Path:
    """The path of a file, if it can be written to."""
    path = Path(path).expanduser()
    folder = path.absolute().parent
    if path.is_dir():
        raise ExportError(
            f"The path names a folder. Received: {str(path)!r}. Give a file, such as {str(path / 'model.onnx')!r}."
        )
    if path.exists() and not path.is_file():
        raise ExportError(f"The path names something that is not a plain file. Received: {str(path)!r}. Give a file.")
    if not folder.is_dir():
        raise ExportError(
            f"There is no folder {str(folder)!r} to write {path.name!r} to. Make it first, or give another path."
        )
    check_writable(folder)
    return path


def checked_folder(path: str | os.PathLike, mark: str) -> Path:
    """The path of a folder, if it can be written.

    Arguments:
        mark: the file by which a folder of this kind is known, "manifest.json" or "saved_model.pb". A folder that is
            there already is replaced only if an export of ours wrote all that is in it.
    """
    path = Path(path).expanduser().absolute()
    if path.exists() and not path.is_dir():
        raise ExportError(f"The path names a file. Received: {str(path)!r}. Give a folder.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportError(f"The folder {str(path.parent)!r} cannot be made: {error.strerror}.") from error
    check_writable(path.parent)
    with locked(path.resolve().parent):
        check_replaceable(path, mark)
    return path


def check_writable(folder: Path) -> None:
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise ExportError(
            f"The folder {str(folder)!r} cannot be written to. Change its permissions, or give another path."
        )


def write(path: Path, content: bytes) -> None:
    """Write a file; until it is complete, whoever opens the path finds the file that was there before."""
    path = path.absolute().resolve()
    temporary, lock = begin(path, is_folder=False)
    try:
        with os.fdopen(lock, "wb") as file:
            file.write(content)
            file.flush()
            os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path` that takes its place if all goes well; otherwise nothing is left of it."""
    path = path.absolute().resolve()
    temporary, lock = begin(path, is_folder=True)
    try:
        yield temporary
        mark = manifests.NAME if (temporary / manifests.NAME).is_file() else "saved_model.pb"
        if mark != manifests.NAME:
            write_listing(temporary)
        replace_folder(temporary, path, mark)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    finally:
        os.close(lock)


def begin(destination: Path, is_folder: bool) -> tuple[Path, int]:
    """A new temporary file or folder for a destination, and the open file that holds its lock."""
    with locked(destination.parent):
        sweep(destination)
        temporary = destination.with_name(f".{destination.name}.{secrets.token_hex(4)}{UNFINISHED}")
        if is_folder:
            temporary.mkdir()
        return temporary, lock_of(temporary, os.O_RDONLY if is_folder else os.O_WRONLY | os.O_CREAT | os.O_EXCL)


def sweep(destination: Path) -> None:
    """Remove what killed exports to this destination have left; its folder is locked."""
    folder_swap.recover(destination)
    for path in destination.parent.iterdir():
        if is_unfinished(path.name, destination.name) and folder_swap.is_abandoned(path):
            remove(path)


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def replace_folder(temporary: Path, path: Path, mark: str) -> None:
    """Put the temporary folder in the place of `path`, and remove what an earlier export had written there."""
    with locked(path.parent):
        check_replaceable(path, mark)
        earlier = folder_swap.put_in_place(temporary, path)
        if earlier is not None:
            discard(earlier, listed_files(earlier, mark), path)


def discard(earlier: Path, listed: set[str], path: Path) -> None:
    """Remove the files that an earlier export listed. Should there be others by now, they stay under a new name."""
    for name in listed:
        (earlier / name).unlink(missing_ok=True)
    for directory, _, _ in os.walk(earlier, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(directory)
    if earlier.exists():
        earlier.rename(path.with_name(f"{path.name}.kept-{secrets.token_hex(4)}"))


def check_replaceable(path: Path, mark: str) -> None:
    """ExportError if the folder holds anything that no export of ours has written."""
    if not path.is_dir() or not any(path.iterdir()):
        return
    others = sorted(present_files(path) - listed_files(path, mark))
    if others:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        raise ExportError(
            f"The folder {str(path)!r} holds files that no export wrote, so it is not replaced: "
            f"{', '.join(map(repr, others[:3]))}{more}. Give a new folder, or move them away."
        )


def present_files(path: Path) -> set[str]:
    """All that is in a folder and is not a folder itself; links are not followed."""
    return {
        (Path(directory) / name).relative_to(path).as_posix()
        for directory, folders, files in os.walk(path)
        for name in [*files, *(name for name in folders if (Path(directory) / name).is_symlink())]
    }


def listed_files(path: Path, mark: str) -> set[str]:
    """The files that the export which wrote a folder says it has written."""
    try:
        if not (path / mark).is_file():
            raise ExportError(
                f"The folder {str(path)!r} holds other things and no {mark}, so it is not replaced. Give a new folder, "
                "or empty it."
            )
        if mark == manifests.NAME:
            return {*read_manifest(path)["files"], manifests.NAME}
        names = json.loads((path / LISTING).read_text(encoding="utf-8"))["files"]
        return {*map(str, names), LISTING}
    except (BundleError, OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, ExportError):
            raise
        raise ExportError(
            f"The folder {str(path)!r} holds a {mark} that keras_rnnkit did not write, or that was changed since, so "
            f"it is not replaced. Give a new folder, or empty it. ({error})"
        ) from error


def write_listing(path: Path) -> None:
    names = sorted(present_files(path) - {LISTING})
    (path / LISTING).parent.mkdir(exist_ok=True)
    (path / LISTING).write_text(json.dumps({"files": names}, indent=1) + "\n", encoding="utf-8")

"""The files of a bundle, held open from the moment they were checked."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import threading
import time
import weakref
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Any

from keras_rnnkit.runtime.errors import BundleError
from keras_rnnkit.runtime.manifest import LARGEST, NAME, parsed

UNFINISHED = ".rnnkit-part"
"""How the names of files and folders end that an export is still writing, or was killed while it wrote."""
TRIES, PAUSE = 100, 0.01
"""How often a bundle is opened that is replaced meanwhile, and the seconds between two tries."""


class BundleFiles:
    """The files that the manifest of a bundle lists, after every hash was checked.

    The files that `read` may be asked for stay open. An export that replaces the folder therefore takes nothing away
    from a bundle that was loaded before, and `read` gives the files that were checked, not ones that came later.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any], files: dict[str, FileIO]):
        self.folder, self.manifest = folder, manifest
        self._files = files
        self._lock = threading.Lock()
        weakref.finalize(self, close_all, files)

    def read(self, name: str) -> bytes:
        """The content of a file. The hash is that of the very bytes that are returned."""
        with self._lock:
            file = self._files[name]
            file.seek(0)
            content = file.read()
        if hashlib.sha256(content).hexdigest() != self.manifest["files"][name]["sha256"]:
            raise changed(name, self.folder)
        return content

    def release(self, name: str) -> None:
        """Close a file that will not be read again."""
        with self._lock:
            self._files[name].close()


def open_bundle(folder: str | os.PathLike) -> BundleFiles:
    """The files of a bundle: all of one export, even if another export replaces the folder at this moment."""
    folder = Path(folder)
    for _ in range(TRIES):
        with kept_identity(folder) as before:
            try:
                return opened(folder)
            except (ValueError, OSError, RuntimeError) as error:  # RuntimeError: a circle of links, before Python 3.13
                if identity(folder) == before and (before or not is_appearing(folder)):
                    if isinstance(error, BundleError):
                        raise
                    raise BundleError(f"The bundle {str(folder)!r} cannot be read: {error}.") from error
        time.sleep(PAUSE)
    raise BundleError(f"The bundle {str(folder)!r} was replaced {TRIES} times while it was read. Load it again.")


@contextlib.contextmanager
def kept_identity(folder: Path) -> Iterator[tuple[int, int] | None]:
    """The `identity` of a folder. Inside, no other folder can get it, because the system reuses only what is closed."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except (OSError, ValueError):
        yield identity(folder)
        return
    try:
        yield identity(descriptor)
    finally:
        os.close(descriptor)


def identity(folder: Path | int) -> tuple[int, int] | None:
    """What tells a folder, or one that is open, from another one of the same name; None where there is no folder."""
    try:
        status = os.stat(folder)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def is_appearing(folder: Path) -> bool:
    """Whether a folder that was missing is there by now, or another process is about to put it there.

    It is missing for an instant on systems that cannot exchange two folders.
    """
    try:
        names = [path.name for path in folder.absolute().parent.iterdir()]
    except (OSError, ValueError):
        return False
    return any(is_unfinished(name, folder.name) for name in names) or identity(folder) is not None


def is_unfinished(name: str, destination: str) -> bool:
    """Whether a file or folder of that name is what an export to `destination` writes before it is complete.

    >>> is_unfinished(".words.5f3a91c2.rnnkit-part", "words"), is_unfinished(".words.part", "words")
    (True, False)
    """
    start, middle, end = f".{destination}.", name[len(destination) + 2 : -len(UNFINISHED)], UNFINISHED
    hexadecimal = len(middle) == 8 and set(middle) <= set("0123456789abcdef")
    return hexadecimal and name == f"{start}{middle}{end}"


def opened(folder: Path) -> BundleFiles:
    manifest = read_manifest(folder)
    files: dict[str, FileIO] = {}
    try:
        for name, facts in manifest["files"].items():
            files[name] = open_listed(folder, name)
            check(files[name], name, facts, folder)
    except BaseException:
        close_all(files)
        raise
    later = files_read_later(manifest)
    close_all({name: file for name, file in files.items() if name not in later})
    return BundleFiles(folder, manifest, {name: files[name] for name in later})


def read_manifest(folder: Path) -> dict[str, Any]:
    """The validated manifest of a folder; its files are not looked at."""
    try:
        with open_inside(folder, NAME) as file:
            content = file.read(LARGEST + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise BundleError(
            f"There is no bundle in {str(folder)!r}: it has no {NAME}. "
            "keras_rnnkit.export_bundle(model, folder) writes one."
        ) from None
    return parsed(content, str(folder / NAME))


def files_read_later(manifest: dict[str, Any]) -> set[str]:
    """The graphs and vocabularies; nothing reads the SavedModel."""
    graphs = manifest["graphs"].values()
    names = {graph["file"] for graph in graphs} | {q["file"] for graph in graphs for q in graph["quantized"].values()}
    return names | {manifest[key] for key in ("vocabulary", "source_vocabulary") if manifest[key]}


def open_listed(folder: Path, name: str) -> FileIO:
    try:
        return open_inside(folder, name)
    except (FileNotFoundError, NotADirectoryError):
        raise BundleError(f"The bundle {str(folder)!r} lacks its file {name!r}. Export the model again.") from None


def open_inside(folder: Path, name: str) -> FileIO:
    """A file of the folder, opened; a link that leads out of it is refused, and so is whatever is not a plain file."""
    root, path = folder.resolve(), (folder / name).resolve()
    if root not in path.parents:
        raise BundleError(
            f"The file {name!r} of the bundle {str(folder)!r} is a link that leads out of it. Copy the bundle with the "
            "files themselves, or export the model again."
        )
    # No link can have taken the place of the resolved path, and a named pipe cannot make `open` wait.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    file = FileIO(path, opener=lambda path, _: os.open(path, flags))
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise BundleError(f"{name!r} in the bundle {str(folder)!r} is not a plain file. Export the model again.")
    return file


def check(file: FileIO, name: str, facts: dict[str, Any], folder: Path) -> None:
    """BundleError if the file is not the one that was written."""
    size = os.fstat(file.fileno()).st_size
    if size != facts["size"] or hashlib.file_digest(file, "sha256").hexdigest() != facts["sha256"]:
        raise changed(name, folder)


def changed(name: str, folder: Path) -> BundleError:
    return BundleError(
        f"The file {name!r} of the bundle {str(folder)!r} is not the one that was written: its sha256 "
        "differs from the manifest's. Copy the bundle again, or export the model again."
    )


def close_all(files: dict[str, FileIO]) -> None:
    for file in files.values():
        file.close()

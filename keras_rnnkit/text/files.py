"""Reading text files, all in the same way, and replacing files, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class TextError(ValueError):
    """A text or a text file that cannot be used. The message names the problem and the remedy."""


def read_text(path: str | os.PathLike, hint: str = "") -> str:
    r"""The text of a UTF-8 file, without a byte order mark and with "\n" for every kind of line end.

    Arguments:
        path: the file.
        hint: a sentence about the expected file, which the errors about a missing or an empty file end with.
    """
    path = Path(path)
    check_file(path, hint)
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise TextError(
            f"{str(path)!r} is not UTF-8: byte {error.start} is 0x{error.object[error.start]:02x}. Convert it, for "
            f"example with: iconv -f {likely_encoding(error.object)} -t utf-8 {path.name}"
        ) from error
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise TextError(f"{str(path)!r} is empty. {hint}".rstrip())
    return text


def check_file(path: Path, hint: str = "") -> None:
    """Refuse a path that is no file; a folder is called one."""
    if path.is_dir():
        raise TextError(f"{str(path)!r} is a folder, and a file is expected. {hint}".rstrip())
    if not path.is_file():
        raise TextError(f"There is no file {str(path)!r}. {hint}".rstrip())


def check_folder(path: Path, content: str, hint: str = "") -> None:
    """Refuse a path that is no folder; a file is called one.

    Arguments:
        path: the path.
        content: what the folder should have in it, such as "images".
        hint: a sentence about the expected folder.
    """
    if path.is_file():
        raise TextError(f"{str(path)!r} is a file, and a folder of {content} is expected. {hint}".rstrip())
    if not path.is_dir():
        raise TextError(f"There is no folder {str(path)!r} of {content}. {hint}".rstrip())


def likely_encoding(content: bytes) -> str:
    """The encoding of a text that is not UTF-8, as iconv names it, by its byte order mark.

    >>> likely_encoding("é".encode("utf-16")), likely_encoding("é".encode("latin1"))
    ('utf-16', 'latin1')
    """
    return "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "latin1"


def read_lines(path: str | os.PathLike, hint: str = "") -> list[str]:
    r"""The lines of a file as `read_text` reads it.

    `str.splitlines` would also cut at characters that may stand inside a line, such as U+2028, "\x85" and "\f".
    """
    return read_text(path, hint).split("\n")


def read_blocks(path: str | os.PathLike, size: int) -> Iterator[str]:
    """The same text as `read_text`, in blocks of whole lines of about `size` characters, for files of any length."""
    path = Path(path)
    check_file(path)
    try:
        with path.open(encoding="utf-8-sig", newline=None) as source:
            while lines := source.readlines(size):
                yield "".join(lines)
    except UnicodeDecodeError as error:
        with path.open("rb") as binary:
            beginning = binary.read(2)
        raise TextError(
            f"{str(path)!r} is not UTF-8: it has the byte 0x{error.object[error.start]:02x}. Convert it, for example "
            f"with: iconv -f {likely_encoding(beginning)} -t utf-8 {path.name}"
        ) from error


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary path beside `path` to write to. It takes the place of `path` at the end, or is removed on an error.

    A process that is killed while it writes leaves the file that was there before, and a hidden `.part` file that the
    next one overwrites.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.part")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise

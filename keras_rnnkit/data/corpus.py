"""A text in three parts: to train on, to watch, and to judge by."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_rnnkit.text import TextError, Vocabulary

PARTS = {"train": r"train", "valid": r"valid|val|dev", "test": r"test"}
CHUNK = 2**20


@dataclass(frozen=True)
class Corpus:
    """Three texts. source: where they come from."""

    train: str
    valid: str
    test: str
    source: str

    def __iter__(self) -> Iterator[str]:
        return iter((self.train, self.valid, self.test))


def read_corpus(path: str | Path, valid_fraction: float = 0.05, test_fraction: float = 0.0, rows: int = 1) -> Corpus:
    """The corpus in a folder with files for train, valid and test, known by their names, or in one file, cut in order.

    valid_fraction, test_fraction: of one file, what comes last, valid before test; without a test part, valid is
        that too.
    rows: cut a file into as many pieces first, and take these parts of each, so that they are of the whole text.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        return from_folder(path)
    return spread(read_text(path), valid_fraction, test_fraction, str(path), rows)


def from_folder(folder: Path) -> Corpus:
    files = sorted(file for file in folder.iterdir() if file.suffix in (".txt", ".text", ".tokens", ""))
    found = {
        part: next((f for f in files if re.search(rf"(^|[._-])({names})([._-]|$)", f.name)), None)
        for part, names in PARTS.items()
    }
    if found["train"] is None or found["valid"] is None:
        raise TextError(
            f"{str(folder)!r} needs files for training and validation, such as train.txt, valid.txt and test.txt. "
            f"It has: {', '.join(file.name for file in sorted(folder.iterdir())[:8]) or 'nothing'}."
        )
    texts = {part: read_text(file) for part, file in found.items() if file is not None}
    return Corpus(texts["train"], texts["valid"], texts.get("test", texts["valid"]), str(folder))


def cut(text: str, valid: float, test: float, source: str) -> Corpus:
    """The beginning of a text to train on, then valid, then test.

    >>> cut("abcdefghij", 0.2, 0.1, "letters")
    Corpus(train='abcdefg', valid='hi', test='j', source='letters')
    """
    first, second = round(len(text) * (1 - valid - test)), round(len(text) * (1 - test))
    parts = text[:first], text[first:second], text[second:]
    return Corpus(parts[0], parts[1], parts[2] or parts[1], source)


def spread(text: str, valid: float, test: float, source: str, rows: int) -> Corpus:
    """`cut` for each of so many pieces of a text, and the parts put together again, as char-rnn judged its models.

    >>> spread("abcdefghij", 0.2, 0.0, "letters", 2).train
    'abcdfghi'
    """
    size = max(1, len(text) // rows)
    pieces = [cut(text[begin : begin + size], valid, test, source) for begin in range(0, size * rows, size)]
    train, watched, judged = ("".join(parts) for parts in zip(*pieces, strict=True))
    return Corpus(train, watched, judged, source)


def read_text(path: Path) -> str:
    """A file of text, as UTF-8."""
    if not path.is_file():
        raise TextError(f"There is no file {str(path)!r}.")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise TextError(
            f"{str(path)!r} is not UTF-8: byte {error.start} is 0x{error.object[error.start]:02x}. Convert it, such as "
            f"with: iconv -f latin1 -t utf-8 {path.name}"
        ) from error
    if not text.strip():
        raise TextError(f"{str(path)!r} is empty.")
    return text


def encode_file(path: str | Path, vocabulary: Vocabulary, out: str | Path) -> np.ndarray:
    """The numbers of a file's tokens, written to `out` piece by piece and read from there as they are needed.

    For corpora that do not fit into memory; `Windows` takes what is returned. A piece ends with a line.
    """
    out, part = Path(out), Path(out).with_name(f".{Path(out).name}.part")
    with Path(path).open(encoding="utf-8", newline="") as source, part.open("wb") as target:
        while lines := source.readlines(CHUNK):
            target.write(vocabulary.encode("".join(lines)).tobytes())
    if not part.stat().st_size:
        part.unlink()
        raise TextError(f"{str(path)!r} is empty.")
    part.replace(out)
    return np.memmap(out, dtype=np.int32, mode="r")

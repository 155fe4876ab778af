"""A text in three parts: to train on, to validate during training, and to test at the end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_rnnkit.text import TextError, Vocabulary
from keras_rnnkit.text.files import read_blocks, read_text, replacing

PARTS = {"train": r"train", "valid": r"valid|val|dev", "test": r"test"}
BLOCK = 2**20


@dataclass(frozen=True)
class Corpus:
    """Three texts.

    Arguments:
        train, valid, test: the texts.
        source: where they come from, for messages.
    """

    train: str
    valid: str
    test: str
    source: str

    def __iter__(self) -> Iterator[str]:
        return iter((self.train, self.valid, self.test))


FORM = "Give a text, or a folder with train, valid and test files."


def read_corpus(path: str | Path, valid_fraction: float = 0.05, test_fraction: float = 0.0, rows: int = 1) -> Corpus:
    """The corpus in a folder or in one file.

    Arguments:
        path: a folder with files that have train, valid and test in their names, or one file, which is cut in order.
        valid_fraction: how much of one file is for validation, after the training text.
        test_fraction: how much of one file is for the test, at its end; with 0 the validation text is the test too.
        rows: cut one file into as many pieces first and take the fractions of each, so that the validation text comes
            from all over the file.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        return from_folder(path)
    return spread(read_text(path, FORM), valid_fraction, test_fraction, str(path), rows)


def from_folder(folder: Path) -> Corpus:
    """The corpus of a folder's files."""
    files = sorted(file for file in folder.iterdir() if file.suffix in (".txt", ".text", ".tokens", ""))
    chosen = {
        split: next((f for f in files if re.search(rf"(^|[._-])({names})([._-]|$)", f.name)), None)
        for split, names in PARTS.items()
    }
    if chosen["train"] is None or chosen["valid"] is None:
        raise TextError(
            f"{str(folder)!r} must have files for training and validation, such as train.txt, valid.txt and test.txt. "
            f"It has: {', '.join(file.name for file in sorted(folder.iterdir())[:8]) or 'nothing'}."
        )
    texts = {split: read_text(file) for split, file in chosen.items() if file is not None}
    return Corpus(texts["train"], texts["valid"], texts.get("test", texts["valid"]), str(folder))


def cut(text: str, valid_fraction: float, test_fraction: float, source: str) -> Corpus:
    """The beginning of a text to train on, then the validation text, then the test.

    >>> cut("abcdefghij", 0.2, 0.1, "letters")
    Corpus(train='abcdefg', valid='hi', test='j', source='letters')
    """
    if valid_fraction < 0 or test_fraction < 0 or valid_fraction + test_fraction >= 1:
        raise TextError(
            "The fractions for validation and test must be 0 or more and together below 1. Received: "
            f"{valid_fraction} and {test_fraction}."
        )
    first, second = round(len(text) * (1 - valid_fraction - test_fraction)), round(len(text) * (1 - test_fraction))
    train, valid, test = text[:first], text[first:second], text[second:]
    return Corpus(train, valid, test or valid, source)


def spread(text: str, valid_fraction: float, test_fraction: float, source: str, rows: int) -> Corpus:
    """`cut` for each of `rows` pieces of a text, and the parts joined again, as char-rnn evaluated its models.

    The last piece has the characters that are left over.

    >>> spread("abcdefghijk", 0.2, 0.0, "letters", 2).train
    'abcdfghij'
    """
    size = max(1, len(text) // rows)
    begins = range(0, size * rows, size)
    ends = [*begins[1:], len(text)]
    pieces = [
        cut(text[begin:end], valid_fraction, test_fraction, source) for begin, end in zip(begins, ends, strict=True)
    ]
    train, valid, test = ("".join(parts) for parts in zip(*pieces, strict=True))
    return Corpus(train, valid, test, source)


def encode_file(path: str | Path, vocabulary: Vocabulary, out: str | Path) -> np.ndarray:
    """The numbers of the tokens of a file that does not fit into memory, as a `numpy.memmap` for `Windows`.

    The file is read and encoded in blocks of whole lines.

    Arguments:
        path: the text, read as `read_corpus` reads it.
        vocabulary: gives the tokens their numbers.
        out: the file of int32 numbers to write; it appears when all of it is written.
    """
    with replacing(out) as temporary:
        with temporary.open("wb") as target:
            for block in read_blocks(path, BLOCK):
                target.write(vocabulary.encode(block).tobytes())
        if not temporary.stat().st_size:
            raise TextError(f"{str(path)!r} is empty.")
    return np.memmap(out, dtype=np.int32, mode="r")

"""Files of word vectors, in the text formats of word2vec and GloVe."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from keras_rnnkit.text import TextError
from keras_rnnkit.text.files import read_blocks

FORM = "Each line must have a word and its numbers, with single spaces between them."
BLOCK = 1 << 24
"""Characters that are read at once: files of word vectors have gigabytes."""


def read_vectors(path: str | Path, words: Collection[str]) -> dict[str, np.ndarray]:
    """The vectors of some words from a text file of word2vec or GloVe.

    A file of word2vec begins with a line that has the number of words and of dimensions, one of GloVe does not.
    A word may have spaces inside, as some of GloVe have.

    Arguments:
        path: the file.
        words: the words whose vectors are wanted; the others are read and left out.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "vectors.txt"
    >>> _ = path.write_text("2 3\\nto 0.5 1 0\\nbe 0 0 -1\\n")
    >>> read_vectors(path, ["be", "or"])
    {'be': array([ 0.,  0., -1.], dtype=float32)}
    """
    wanted, found = set(words), {}
    size, number = None, 0
    for block in read_blocks(path, BLOCK):
        for line in block.split("\n"):
            number += 1
            cells = line.rstrip().split(" ")
            if size is None:
                size = size_of(cells, path)
                if len(cells) == 2:
                    continue
            if line.strip():
                word, vector = vector_of(cells, size, number, path)
                if word in wanted:
                    found[word] = vector
        number -= block.endswith("\n")  # what follows the last line of a block is no line
    if size is None:
        raise TextError(f"{str(path)!r} is empty. {FORM}")
    return found


def size_of(cells: list[str], path: str | Path) -> int:
    """The number of dimensions, from the first line."""
    if len(cells) == 2 and all(cell.isdigit() for cell in cells):
        return int(cells[1])
    if len(cells) < 3:
        raise TextError(f"Line 1 of {str(path)!r} has no vector: {' '.join(cells)[:60]!r}. {FORM}")
    return len(cells) - 1


def vector_of(cells: list[str], size: int, number: int, path: str | Path) -> tuple[str, np.ndarray]:
    """The word and the vector of a line."""
    try:
        vector = np.array(cells[-size:], np.float32)
    except ValueError:
        vector = np.zeros(0, np.float32)
    if len(cells) <= size or vector.size != size or not np.isfinite(vector).all():
        raise TextError(
            f"Line {number} of {str(path)!r} must have a word and {size} numbers. Received: "
            f"{' '.join(cells)[:60]!r}. {FORM}"
        )
    return " ".join(cells[:-size]), vector


def matrix_of(tokens: Collection[str], vectors: dict[str, np.ndarray], seed: int = 0) -> np.ndarray:
    """The vectors of tokens [V, D]; a token without one gets random numbers of the same size.

    >>> matrix_of(["a"], {"a": np.ones(2, "float32")}).tolist()
    [[1.0, 1.0]]
    """
    known = np.stack(list(vectors.values()))
    random = np.random.default_rng(seed).normal(0.0, known.std(), (len(tokens), known.shape[1])).astype(np.float32)
    for row, token in zip(random, tokens, strict=True):
        row[:] = vectors.get(token, row)
    return random

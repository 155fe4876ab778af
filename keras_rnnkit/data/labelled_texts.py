"""Texts with labels: read from files of columns, and batches of texts of similar length."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnnkit.data.pairs import ends_of, padded
from keras_rnnkit.data.tables import read_table
from keras_rnnkit.text import TextError
from keras_rnnkit.tf_datasets import numbered_batches

FEWEST = 3
"""Texts that each label must have, so that training, validation and test may all have it."""


def read_labelled(path: str | Path, text: str, label: str) -> list[tuple[str, str]]:
    """The texts of a file with their labels.

    Arguments:
        path: a file as `read_table` reads it.
        text, label: the names of the columns.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "reviews.csv"
    >>> _ = path.write_text("review,verdict\\n" + "Good.,yes\\nBad.,no\\n" * 3)
    >>> read_labelled(path, "review", "verdict")[:2]
    [('Good.', 'yes'), ('Bad.', 'no')]
    """
    table = read_table(path, [text, label])
    for column in (text, label):
        empty = next((row for row, cell in enumerate(table.columns[column]) if not cell.strip()), None)
        if empty is not None:
            raise TextError(f"{table.place(empty, column)}, is empty. Fill it in, or remove the line.")
    pairs = list(zip((cell.strip() for cell in table.columns[text]), map(str.strip, table.columns[label]), strict=True))
    check_labels([kind for _, kind in pairs], table.path, label)
    return pairs


def check_labels(labels: Sequence[str], path: str, column: str) -> None:
    """Refuse labels from which nothing can be learned."""
    counts = Counter(labels)
    if len(counts) == 1:
        raise TextError(
            f"All {len(labels):,} lines of {path!r} have the label {labels[0]!r} in column {column!r}. A classifier "
            "needs two labels or more."
        )
    if len(counts) > max(20, len(labels) // 10):
        raise TextError(
            f"Column {column!r} of {path!r} has {len(counts):,} different labels in {len(labels):,} lines. Name the "
            "column of the labels with --label, and that of the texts with --text."
        )
    rare = [kind for kind, count in counts.items() if count < FEWEST]
    if rare:
        raise TextError(
            f"The label {rare[0]!r} stands in {counts[rare[0]]} lines of {path!r}; each label needs {FEWEST} or more. "
            "Remove these lines, or give them another label."
        )


class LabelledTexts:
    """Batches of texts of similar length with their labels, for `rk.training.fit`.

    Lengths are rounded up to a multiple of `width`, and texts are sorted by them: these are the buckets. Texts of the
    same rounded length are in another order in each epoch, and so are the batches. A batch is padded with 0, which a
    model is to mask.

    Arguments:
        texts: the numbers of the tokens of each text.
        labels: the number of the label of each text.
        tokens: the most tokens in a batch, padding included.
        rows: the most texts in a batch.
        width: lengths are rounded up to a multiple of it.
        weights: how much a text of each label counts [C]; None for all alike.
        seed: seed of the random order; None keeps the order of the texts within their length.

    >>> batches = LabelledTexts([[5, 6], [7], [8, 9, 5]], [0, 1, 1], tokens=8, width=2, seed=None)
    >>> [(x.tolist(), y.tolist()) for x, y, _ in map(batches.batch, range(len(batches)))]
    [([[5, 6], [7, 0]], [0, 1]), ([[8, 9, 5, 0]], [1])]
    """

    def __init__(
        self,
        texts: Sequence[Any],
        labels: Sequence[int],
        tokens: int = 4096,
        rows: int = 64,
        width: int = 8,
        weights: Sequence[float] | None = None,
        seed: int | None = 0,
    ):
        self.texts, self.labels = [np.asarray(text, np.int32) for text in texts], np.asarray(labels, np.int32)
        if len(self.texts) != len(self.labels) or not len(self.texts) or not all(map(len, self.texts)):
            raise TextError(
                f"There must be as many texts as labels, one at least, and none may be empty. Received: "
                f"{len(self.texts)} texts, {sum(not len(text) for text in self.texts)} of them empty, "
                f"{len(self.labels)} labels."
            )
        self.weights = None if weights is None else np.asarray(weights, np.float32)
        self.seed, self.width, self.epoch = seed, width, 0
        self.lengths = -(-np.array([len(text) for text in self.texts]) // width) * width
        self._ends = ends_of(self.lengths[self._order(), None], tokens, rows)
        self._current: tuple[int | None, list[np.ndarray]] = (None, [])

    def _order(self) -> np.ndarray:
        count = len(self.texts)
        order = np.arange(count) if self.seed is None else self._random().permutation(count)
        return order[np.argsort(self.lengths[order], kind="stable")]

    def _random(self, purpose: int = 0) -> np.random.Generator:
        return np.random.default_rng([self.seed or 0, self.epoch, purpose])

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self._ends)

    def batch(self, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A batch of the epoch `self.epoch`, by its number: tokens [B, T], labels [B] and weights [B]."""
        places = self.places(number)
        x = padded([self.texts[place] for place in places])
        y = self.labels[places]
        x = np.pad(x, ((0, 0), (0, -x.shape[1] % self.width)))
        return x, y, np.ones(len(y), np.float32) if self.weights is None else self.weights[y]

    def places(self, number: int) -> np.ndarray:
        """The numbers of the texts in a batch of the epoch."""
        if self._current[0] != self.epoch:
            batches = np.split(self._order(), self._ends[:-1])
            if self.seed is not None:
                batches = [batches[i] for i in self._random(1).permutation(len(batches))]
            self._current = self.epoch, batches
        return self._current[1][number]

    def dataset(self, start: int = 0) -> Any:
        """A `tf.data.Dataset` of the batches of epoch `self.epoch`, which is read when the iteration begins.

        Arguments:
            start: the first batch, for an epoch that is resumed in the middle.
        """
        import tensorflow as tf

        def look_up(number):
            return self.batch(int(number))

        def batch(number):
            arrays = tf.numpy_function(look_up, [number], [tf.int32, tf.int32, tf.float32])
            shapes = ((None, None), (None,), (None,))
            return tuple(tf.ensure_shape(array, shape) for array, shape in zip(arrays, shapes, strict=True))

        return numbered_batches(start, len(self), batch)


def balanced_weights(labels: Sequence[int], count: int) -> np.ndarray:
    """Weights [C] by which all labels count alike, and the mean text counts 1.

    >>> balanced_weights([0, 0, 1, 1, 1, 1], 2).tolist()
    [1.5, 0.75]
    """
    counts = np.bincount(np.asarray(labels), minlength=count)
    return (len(labels) / (count * np.maximum(counts, 1))).astype(np.float32)

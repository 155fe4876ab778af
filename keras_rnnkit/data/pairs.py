"""Pairs of sources and targets: files of pairs, and batches of pairs of similar length."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnnkit.text import TextError
from keras_rnnkit.text.files import read_lines
from keras_rnnkit.tf_datasets import numbered_batches

Batch = tuple[tuple[np.ndarray, np.ndarray], np.ndarray]
"""((source [B, S], target before each step [B, T]), target [B, T])."""


FORM = "Each line must have a source, a tab and a target."


def read_pairs(path: str | Path) -> list[tuple[str, str]]:
    """The pairs of a file with a source, a tab and a target on each line. Further columns are ignored.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "pairs.tsv"
    >>> _ = path.write_text("Go.\\tVa !\\nRun!\\tCours !\\n")
    >>> read_pairs(path)
    [('Go.', 'Va !'), ('Run!', 'Cours !')]
    """
    lines = read_lines(path, FORM)
    return [pair_of(line, number, path) for number, line in enumerate(lines, 1) if line.strip()]


def pair_of(line: str, number: int, path: str | Path) -> tuple[str, str]:
    """The source and the target on one line; its number and the path are for the error."""
    source, tab, rest = line.partition("\t")
    source, target = source.strip(), rest.partition("\t")[0].strip()
    if not (source and target):
        problem = "no tab" if not tab else "an empty target" if source else "an empty source"
        raise TextError(f"Line {number} of {str(path)!r} has {problem}: {line[:60]!r}. {FORM}")
    return source, target


class Pairs:
    """Batches of pairs for `rk.Seq2Seq`. A batch has pairs of similar length, as many as `tokens` and `rows` allow.

    Lengths are rounded up to a multiple of `width`, and pairs are sorted by them. Pairs of the same rounded lengths are
    in another order in each epoch, and so are the batches. All epochs have the same number of batches.

    Arguments:
        sources: for each pair the numbers of the tokens of the source; or one array of features or images [N, ...].
        targets: for each pair the numbers of the tokens of the target, with BEGIN before and END after them.
        tokens: the most tokens in a batch, sources and targets together, padding included.
        rows: the most pairs in a batch.
        width: lengths are rounded up to a multiple of it.
        seed: seed of the random order; None keeps the order of the pairs.

    >>> pairs = Pairs([[4, 5], [6], [7, 8]], [[2, 4, 3], [2, 3], [2, 5, 3]], tokens=24, width=4, seed=None)
    >>> (source, before), target = pairs.batch(0)
    >>> source.tolist(), before.tolist(), target.tolist()
    ([[4, 5], [6, 0], [7, 8]], [[2, 4], [2, 0], [2, 5]], [[4, 3], [3, 0], [5, 3]])
    """

    def __init__(
        self,
        sources: Sequence[Any] | np.ndarray,
        targets: Sequence[Any],
        tokens: int = 4096,
        rows: int = 256,
        width: int = 8,
        seed: int | None = 0,
    ):
        if len(sources) != len(targets) or not len(targets):
            raise TextError(
                f"There must be as many sources as targets, one at least. Received: {len(sources)} and {len(targets)}."
            )
        if tokens < 1 or rows < 1 or width < 1:
            raise TextError(f"tokens, rows and width must be 1 or more. Received: {tokens}, {rows}, {width}.")
        self.sources: Any = sources if isinstance(sources, np.ndarray) else [np.asarray(s, np.int32) for s in sources]
        self.targets = [np.asarray(target, np.int32) for target in targets]
        self.seed, self.epoch = seed, 0
        self._lengths = self._rounded(width)
        self._ends = ends_of(self._lengths[self._order()], tokens, rows)
        self._current: tuple[int | None, list[np.ndarray]] = (None, [])

    def _rounded(self, width: int) -> np.ndarray:
        """For each pair the rounded lengths of source and target [N, 2]; 0 for sources that are rows of one array."""
        sources = [0] * len(self.targets) if isinstance(self.sources, np.ndarray) else [len(s) for s in self.sources]
        lengths = np.array([sources, [len(target) for target in self.targets]]).T
        return -(-lengths // width) * width

    def _order(self) -> np.ndarray:
        """The numbers of all pairs, sorted by their rounded lengths; pairs of the same lengths are in random order."""
        count = len(self.targets)
        random = np.random.default_rng([self.seed, self.epoch]) if self.seed is not None else None
        places = np.arange(count) if random is None else random.permutation(count)
        source, target = self._lengths[places].T
        return places[np.lexsort((source, target, source + target))]

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self._ends)

    @property
    def tokens(self) -> int:
        """The number of tokens of all targets, END included."""
        return sum(len(target) - 1 for target in self.targets)

    def batch(self, number: int) -> Batch:
        """A batch of the epoch `self.epoch`, by its number."""
        if self._current[0] != self.epoch:
            self._current = self.epoch, self._batches()
        places = self._current[1][number]
        target = padded([self.targets[place] for place in places])
        source = (
            self.sources[places] if isinstance(self.sources, np.ndarray) else padded([self.sources[p] for p in places])
        )
        return (source, np.where(target[:, 1:] > 0, target[:, :-1], 0)), target[:, 1:]

    def _batches(self) -> list[np.ndarray]:
        batches = np.split(self._order(), self._ends[:-1])
        if self.seed is None:
            return batches
        return [batches[i] for i in np.random.default_rng([self.seed, self.epoch, 1]).permutation(len(batches))]

    def dataset(self, start: int = 0) -> Any:
        """A `tf.data.Dataset` of the batches of epoch `self.epoch`, which is read when the iteration begins.

        Arguments:
            start: the first batch, for an epoch that is resumed in the middle.
        """
        import tensorflow as tf

        array = self.sources if isinstance(self.sources, np.ndarray) else None
        kind, shape = (
            (tf.int32, (None, None)) if array is None else (tf.as_dtype(array.dtype), (None, *array.shape[1:]))
        )

        def look_up(number):
            (source, before), target = self.batch(int(number))
            return source, before, target

        def pairs(number):
            source, before, target = tf.numpy_function(look_up, [number], [kind, tf.int32, tf.int32])
            before, target = (tf.ensure_shape(x, (None, None)) for x in (before, target))
            return (tf.ensure_shape(source, shape), before), target

        return numbered_batches(start, len(self), pairs)


def ends_of(lengths: np.ndarray, tokens: int, rows: int) -> list[int]:
    """The ends of batches of sorted pairs. No batch has more rows or, with its padding, more tokens than allowed.

    >>> ends_of(np.array([[2, 2], [2, 2], [2, 4], [8, 8]]), tokens=12, rows=9)
    [2, 3, 4]
    """
    ends, begin, widest = [], 0, np.zeros(2, int)
    for place, length in enumerate(lengths):
        wider = np.maximum(widest, length)
        if place > begin and (place - begin == rows or (place - begin + 1) * wider.sum() > tokens):
            ends.append(place)
            begin, wider = place, length
        widest = wider
    return [*ends, len(lengths)]


def padded(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Rows of different lengths as one array [B, T], with 0 after the end of a row."""
    table = np.zeros((len(rows), max(map(len, rows))), np.int32)
    for line, row in zip(table, rows, strict=True):
        line[: len(row)] = row
    return table

"""Sources with their targets: files of them, and batches of pairs that are about as long."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnnkit.text import TextError

Batch = tuple[tuple[np.ndarray, np.ndarray], np.ndarray]
"""((source [B, S], target before each step [B, T]), target [B, T])."""


def read_pairs(path: str | Path) -> list[tuple[str, str]]:
    """The pairs of a file with a source, a tab and a target on each line; further columns are left out.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "pairs.tsv"
    >>> _ = path.write_text("Go.\\tVa !\\nRun!\\tCours !\\n")
    >>> read_pairs(path)
    [('Go.', 'Va !'), ('Run!', 'Cours !')]
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (FileNotFoundError, IsADirectoryError):
        raise TextError(f"There is no file {str(path)!r}. Give one with a source, a tab and a target a line.") from None
    except UnicodeDecodeError as error:
        raise TextError(
            f"{str(path)!r} is no UTF-8 text: byte {error.start} is {error.object[error.start]:#x}."
        ) from None
    pairs = [pair_of(line, number, path) for number, line in enumerate(lines, 1) if line.strip()]
    if not pairs:
        raise TextError(f"{str(path)!r} is empty. Give a file with a source, a tab and a target a line.")
    return pairs


def pair_of(line: str, number: int, path: Path) -> tuple[str, str]:
    columns = [column.strip() for column in line.split("\t")]
    if len(columns) < 2 or not columns[0] or not columns[1]:
        missing = "no tab" if len(columns) < 2 else "an empty source" if not columns[0] else "an empty target"
        raise TextError(
            f"Line {number} of {str(path)!r} has {missing}: {line[:60]!r}. A line is a source, a tab and a target."
        )
    return columns[0], columns[1]


class Pairs:
    """Batches of pairs for `rk.Seq2Seq`: pairs about as long side by side, as many as the tokens allow.

    Lengths are rounded up to a multiple of `width`; pairs of the same rounded lengths share batches, and their order,
    and that of the batches, is another one each epoch. The pairs left over in a length make a smaller batch.

    Arguments:
        sources: the numbers of the tokens of each, or one array of features or images [N, ...].
        targets: the numbers of the tokens of each, between BEGIN and END.
        tokens: of a batch, sources and targets together, padding included.
        rows: of a batch, at most.
        width: what lengths are rounded up to.
        seed: of all that is random; None leaves the pairs in their order.

    >>> pairs = Pairs([[4, 5], [6], [7, 8]], [[2, 4, 3], [2, 3], [2, 5, 3]], tokens=20, width=4, seed=None)
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
            raise TextError(f"Pairs are as many sources as targets. Received: {len(sources)} and {len(targets)}.")
        if tokens < 1 or rows < 1 or width < 1:
            raise TextError(f"tokens, rows and width are 1 or more. Received: {tokens}, {rows}, {width}.")
        self.sources: Any = sources if isinstance(sources, np.ndarray) else [np.asarray(s, np.int32) for s in sources]
        self.targets = [np.asarray(target, np.int32) for target in targets]
        self.seed, self.epoch = seed, 0
        self._groups = self._grouped(tokens, rows, width)
        self._known: tuple[int | None, list[np.ndarray]] = (None, [])

    def _grouped(self, tokens: int, rows: int, width: int) -> list[tuple[np.ndarray, int]]:
        """The places of the pairs of each rounded length, and how many of them make a batch."""
        lengths = [len(target) for target in self.targets]
        rounded = [-(-length // width) * width for length in lengths]
        if not isinstance(self.sources, np.ndarray):
            rounded = [(t, -(-len(s) // width) * width) for t, s in zip(rounded, self.sources, strict=True)]  # type: ignore[misc]
        groups: dict[Any, list[int]] = {}
        for place, key in enumerate(rounded):
            groups.setdefault(key, []).append(place)
        return [(np.array(groups[key]), min(rows, max(1, tokens // int(np.sum(key))))) for key in sorted(groups)]

    def __len__(self) -> int:
        """Batches in an epoch."""
        return sum(-(-len(places) // rows) for places, rows in self._groups)

    @property
    def tokens(self) -> int:
        """Of all targets."""
        return sum(len(target) - 1 for target in self.targets)

    def batch(self, number: int) -> Batch:
        """A batch of the epoch that `self.epoch` is."""
        if self._known[0] != self.epoch:
            self._known = self.epoch, self._batches()
        places = self._known[1][number]
        target = padded([self.targets[place] for place in places])
        source = (
            self.sources[places] if isinstance(self.sources, np.ndarray) else padded([self.sources[p] for p in places])
        )
        return (source, np.where(target[:, 1:] > 0, target[:, :-1], 0)), target[:, 1:]

    def _batches(self) -> list[np.ndarray]:
        if self.seed is None:
            return [p for places, rows in self._groups for p in np.split(places, range(rows, len(places), rows))]
        random = np.random.default_rng([self.seed, self.epoch])
        orders = [(random.permutation(places), rows) for places, rows in self._groups]
        batches = [p for places, rows in orders for p in np.split(places, range(rows, len(places), rows))]
        return [batches[i] for i in random.permutation(len(batches))]

    def dataset(self, start: int = 0) -> Any:
        """A `tf.data.Dataset` of the epoch that `self.epoch` is when it is gone through, from batch `start` on."""
        import tensorflow as tf

        array = self.sources if isinstance(self.sources, np.ndarray) else None
        kind, shape = (
            (tf.int32, (None, None)) if array is None else (tf.as_dtype(array.dtype), (None, *array.shape[1:]))
        )

        def looked_up(number):
            (source, before), target = self.batch(int(number))
            return source, before, target

        def pairs(number):
            source, before, target = tf.numpy_function(looked_up, [number], [kind, tf.int32, tf.int32])
            before, target = (tf.ensure_shape(x, (None, None)) for x in (before, target))
            return (tf.ensure_shape(source, shape), before), target

        return tf.data.Dataset.range(start, len(self)).map(pairs).prefetch(4)


def padded(rows: Sequence[np.ndarray]) -> np.ndarray:
    """[B, T], 0 where a row is over."""
    table = np.zeros((len(rows), max(map(len, rows))), np.int32)
    for line, row in zip(table, rows, strict=True):
        line[: len(row)] = row
    return table

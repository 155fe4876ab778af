"""Epochs that are only a part of the data, for data whose epoch would take hours."""

from __future__ import annotations

from typing import Any


class Slices:
    """Batches for `rk.training.fit` of which an epoch takes only some; the next epoch continues where it ended.

    Carried states start again with every epoch, as always.

    Arguments:
        batches: `Windows`, `Pairs` or `Rows`.
        steps: batches of an epoch.

    >>> import numpy as np
    >>> from keras_rnnkit.runs.rows import Rows
    >>> slices = Slices(Rows(np.arange(10), np.arange(10), batch=2), steps=2)
    >>> slices.epoch, len(slices), [slices.place(epoch) for epoch in range(4)]
    (0, 2, [(0, 0), (0, 2), (0, 3), (1, 0)])
    """

    def __init__(self, batches: Any, steps: int):
        self.batches, self.steps = batches, min(steps, len(batches))
        self.epoch = 0

    def __len__(self) -> int:
        """Batches in an epoch."""
        return self.steps

    def place(self, epoch: int) -> tuple[int, int]:
        """The epoch of the batches, and the batch in it, with which an epoch of slices begins."""
        whole, part = divmod(epoch, -(-len(self.batches) // self.steps))
        return whole, min(part * self.steps, len(self.batches) - self.steps)

    def dataset(self, start: int = 0) -> Any:
        """A `tf.data.Dataset` of the batches of epoch `self.epoch`.

        Arguments:
            start: the first batch, for an epoch that is resumed in the middle.
        """
        self.batches.epoch, first = self.place(self.epoch)
        return self.batches.dataset(first + start).take(self.steps - start)

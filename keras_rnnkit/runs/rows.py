"""Batches of the rows of arrays, in another order each epoch."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_rnnkit.tf_datasets import numbered_batches


class Rows:
    """Batches of rows for `rk.training.fit`: independent examples of one length, padded where they differ.

    Arguments:
        x: inputs [N, ...].
        y: targets [N, ...].
        batch: rows of a batch; the last batch of an epoch may have fewer.
        seed: seed of the random order; the same seed and epoch give the same batches.

    >>> rows = Rows(np.arange(5), np.arange(5) * 10, batch=2, seed=1)
    >>> len(rows), [y.tolist() for x, y in (rows.batch(number) for number in range(3))]
    (3, [[40, 0], [10, 20], [30]])
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, batch: int, seed: int = 0):
        self.x, self.y, self.rows, self.seed = x, y, batch, seed
        self.epoch = 0
        self._order: tuple[int | None, np.ndarray] = (None, np.zeros(0, int))

    def __len__(self) -> int:
        """Batches in an epoch."""
        return -(-len(self.x) // self.rows)

    def batch(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """A batch of the epoch `self.epoch`, by its number."""
        if self._order[0] != self.epoch:
            self._order = self.epoch, np.random.default_rng([self.seed, self.epoch]).permutation(len(self.x))
        places = self._order[1][number * self.rows : (number + 1) * self.rows]
        return self.x[places], self.y[places]

    def dataset(self, start: int = 0) -> Any:
        """A `tf.data.Dataset` of the batches of epoch `self.epoch`, which is read when the iteration begins.

        Arguments:
            start: the first batch, for an epoch that is resumed in the middle.
        """
        import tensorflow as tf

        dtypes = [tf.as_dtype(array.dtype) for array in (self.x, self.y)]
        shapes = [(None, *array.shape[1:]) for array in (self.x, self.y)]

        def look_up(number):
            return self.batch(int(number))

        def rows(number):
            arrays = tf.numpy_function(look_up, [number], dtypes)
            return tuple(tf.ensure_shape(array, shape) for array, shape in zip(arrays, shapes, strict=True))

        return numbered_batches(start, len(self), rows)

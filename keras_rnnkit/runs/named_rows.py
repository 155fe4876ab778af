"""Batches of rows for models with inputs by name."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_rnnkit.tf_datasets import numbered_batches


class NamedRows:
    """Batches of rows for `rk.training.fit`, like `Rows`, of a model with several inputs.

    Arguments:
        x: inputs [N, ...] by name.
        y: targets [N, ...].
        batch: rows of a batch; the last batch of an epoch may have fewer.
        seed: seed of the random order; the same seed and epoch give the same batches.

    >>> rows = NamedRows({"a": np.arange(5), "b": -np.arange(5)}, np.arange(5) * 10, batch=2, seed=1)
    >>> [(x["a"].tolist(), x["b"].tolist(), y.tolist()) for x, y in map(rows.batch, range(len(rows)))]
    [([4, 0], [-4, 0], [40, 0]), ([1, 2], [-1, -2], [10, 20]), ([3], [-3], [30])]
    """

    def __init__(self, x: dict[str, np.ndarray], y: np.ndarray, batch: int, seed: int = 0):
        self.x, self.y, self.rows, self.seed = x, y, batch, seed
        self.epoch = 0

    def __len__(self) -> int:
        """Batches in an epoch."""
        return -(-len(self.y) // self.rows)

    def batch(self, number: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """A batch of the epoch `self.epoch`, by its number."""
        order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self.y))
        places = order[number * self.rows : (number + 1) * self.rows]
        return {name: array[places] for name, array in self.x.items()}, self.y[places]

    def dataset(self, start: int = 0) -> Any:
        """A `tf.data.Dataset` of the batches of epoch `self.epoch`, which is read when the iteration begins.

        Arguments:
            start: the first batch, for an epoch that is resumed in the middle.
        """
        import tensorflow as tf

        arrays = [*self.x.values(), self.y]

        def look_up(number):
            x, y = self.batch(int(number))
            return [*x.values(), y]

        def named(number):
            batch = tf.numpy_function(look_up, [number], [tf.as_dtype(array.dtype) for array in arrays])
            *x, y = (tf.ensure_shape(b, (None, *a.shape[1:])) for b, a in zip(batch, arrays, strict=True))
            return dict(zip(self.x, x, strict=True)), y

        return numbered_batches(start, len(self), named)

"""A cell that counts the steps of a sequence, so that a model knows where it is, in a stream too."""

from __future__ import annotations

import keras
from keras import ops as keras_ops

from keras_rnnkit.cells.base import Cell


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class PositionCell(Cell):
    """The number of the step as a one-hot vector.

        n_t = n_{t-1} + 1          y_t[k] = max(0, 1 - |n_{t-1} - k|)

    Shapes: x_t [B, D], of which nothing is read; state n [B, 1]; y_t [B, positions], zeros from step `positions` on.

    Arguments:
        positions: the number of steps that are told apart.

    >>> import numpy as np
    >>> import keras_rnnkit as rk
    >>> layer = rk.Recurrent(PositionCell(3), return_sequences=True)
    >>> np.asarray(layer(keras.ops.ones([1, 4, 2])))[0].tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    """

    emits_state = False

    def __init__(self, positions: int, **kwargs):
        super().__init__(units=1, **kwargs)
        self.positions = self.output_size = positions

    def build(self, input_shape):
        numbers = lambda shape, dtype=None: keras_ops.arange(shape[0], dtype=dtype)  # noqa: E731
        kinds = {"initializer": numbers, "trainable": False}
        self.numbers = self.add_weight(shape=(self.positions,), name="numbers", **kinds)

    def project(self, ops, w, x):
        return ops.zeros_like(ops.sum(x, keepdims=True))

    def recur(self, ops, w, h):
        return h

    def gates(self, ops, w, z, r, state):
        n = r + z
        y = ops.maximum(1.0 - ops.abs(n - w.numbers), ops.zeros_like(n))
        return y, [n + 1.0]

    def get_config(self):
        config = super().get_config()
        config.pop("units", None)
        return {**config, "positions": self.positions}

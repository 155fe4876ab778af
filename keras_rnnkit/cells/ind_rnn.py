"""The independently recurrent network."""

from __future__ import annotations

import keras

from keras_rnnkit.cells.arguments import positive_number
from keras_rnnkit.cells.base import GatedCell
from keras_rnnkit.cells.vanilla import VanillaCell


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class IndRNNCell(GatedCell):
    """A plain recurrent network in which each unit reads its own state alone.

        h_t = relu(W x_t + v * h_{t-1} + b)

    Paper: S. Li, Independently recurrent neural network (IndRNN), 2018; v stands for its u. Without a product of the
    state a step costs next to nothing, but the relu keeps it from being linear: the steps follow each other. A
    gradient T steps back is multiplied by v^T, so the paper keeps |v| below 2^(1/T):
    `recurrent_constraint=rk.cells.MagnitudeLimit(2 ** (1 / T))`.

    Shapes: x_t [B, D], h_t [B, U]. Weights: kernel W [D, U], recurrent_kernel v [U], bias b [U].

    Arguments are those of `GatedCell`. v starts between 0 and 1, as in the paper.

    >>> cell = IndRNNCell(3, recurrent_constraint=MagnitudeLimit(2 ** (1 / 100)))
    >>> y, state = cell(keras.ops.ones([2, 4]), cell.get_initial_state(2))
    >>> y.shape, tuple(cell.recurrent_kernel.shape)
    (TensorShape([2, 3]), (3,))
    """

    def __init__(self, units, activation="relu", recurrent_initializer=None, **kwargs):
        if recurrent_initializer is None:
            recurrent_initializer = keras.initializers.RandomUniform(0.0, 1.0)
        super().__init__(units, activation, recurrent_initializer=recurrent_initializer, **kwargs)

    def build(self, input_shape):
        self.kernel = self.add_matrix("kernel", (input_shape[-1], self.units))
        self.recurrent_kernel = self.add_matrix("recurrent_kernel", (self.units,), role="recurrent")
        self.bias = self.add_matrix("bias", (self.units,)) if self.use_bias else None

    def recur(self, ops, w, h):
        return h * w.recurrent_kernel

    # As in the plain network. They stand here because kernels take a written-out gradient from the class itself only.
    gates = VanillaCell.gates
    gates_saved = VanillaCell.gates_saved
    gates_backward = VanillaCell.gates_backward


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class MagnitudeLimit(keras.constraints.Constraint):
    """Keeps each number of a weight between -limit and limit.

    >>> keras.ops.convert_to_numpy(MagnitudeLimit(1.5)(keras.ops.array([-2.0, 1.0, 3.0])))
    array([-1.5,  1. ,  1.5], dtype=float32)
    """

    def __init__(self, limit: float):
        self.limit = positive_number("limit", limit, self, 2 ** (1 / 100))

    def __call__(self, w):
        return keras.ops.clip(w, -self.limit, self.limit)

    def get_config(self):
        return {"limit": self.limit}

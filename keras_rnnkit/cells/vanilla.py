"""The plain recurrent network."""

from __future__ import annotations

import keras

from keras_rnnkit.cells.base import GatedCell
from keras_rnnkit.cells.slopes import slope


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class VanillaCell(GatedCell):
    """The plain recurrent network of Elman (1990).

        h_t = tanh(W_hh h_{t-1} + W_xh x_t + b)

    Paper: J. Elman, Finding structure in time, 1990. With `activation="relu"` and
    `recurrent_initializer="identity"` it is the network of Le, Jaitly and Hinton (2015), whose gradient neither
    grows nor shrinks before training.

    Shapes: x_t [B, D], h_t [B, U]. Weights: kernel W_xh [D, U], recurrent_kernel W_hh [U, U], bias b [U].

    >>> cell = VanillaCell(3, activation="relu", recurrent_initializer="identity")
    >>> y, state = cell(keras.ops.ones([2, 4]), cell.get_initial_state(2))
    >>> y.shape, len(state)
    (TensorShape([2, 3]), 1)
    """

    initializers_before_seed = False  # Keras' SimpleRNNCell makes them in this order

    def gates(self, ops, w, z, r, state):
        h, state, _ = self.gates_saved(ops, w, z, r, state)
        return h, state

    def gates_saved(self, ops, w, z, r, state):
        h = ops.activation(self.activation, z + r)
        return h, [h], []

    def gates_backward(self, ops, w, saved, before, after, d_state):
        d = d_state[0] * slope(ops, self.activation, after[0])
        return d, d, [None]

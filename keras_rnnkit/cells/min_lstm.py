"""The minimal long short-term memory."""

from __future__ import annotations

import keras

from keras_rnnkit.cells.arguments import keras_object
from keras_rnnkit.cells.linear import LinearCell


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class MinLSTMCell(LinearCell):
    """An LSTM whose gates and candidate do not read the state, with gates that add up to one.

        f = sigmoid(W_f x_t + b_f)                   forget gate
        i = sigmoid(W_i x_t + b_i)                   input gate
        g = W_g x_t + b_g                            candidate
        h_t = f / (f + i) * h_{t-1} + i / (f + i) * g

    Paper: L. Feng, Were RNNs all we needed?, 2024. The letter g stands for its h~. The quotient is computed as
    sigmoid(log f - log i), because f and i may both be zero in floating point. As in `MinGRUCell`, candidates may have
    any sign.

    Shapes: x_t [B, D], h_t [B, U]. Weights: kernel [D, 3U] and bias [3U], in the order f, i, g.

    Arguments, besides those of `LinearCell`:
        activation: activation of the candidate. The paper has none.

    >>> cell = MinLSTMCell(5)
    >>> y, (h,) = cell(keras.ops.ones([3, 4]), cell.get_initial_state(3))
    >>> h.shape
    TensorShape([3, 5])
    """

    gate_count = 3

    def __init__(self, units, activation=None, **kwargs):
        super().__init__(units, **kwargs)
        self.activation = keras_object("activation", activation, self)

    def coefficients(self, ops, w, z):
        z_f, z_i, z_g = z
        log_f, log_i = (-ops.activation("softplus", -gate) for gate in (z_f, z_i))
        f = ops.sigmoid(log_f - log_i)
        return f, (1.0 - f) * ops.activation(self.activation, z_g)

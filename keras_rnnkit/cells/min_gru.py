"""The minimal gated recurrent unit."""

from __future__ import annotations

import keras

from keras_rnnkit.cells.arguments import keras_object
from keras_rnnkit.cells.linear import LinearCell


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class MinGRUCell(LinearCell):
    """A GRU whose gate and candidate do not read the state.

        u = sigmoid(W_u x_t + b_u)                   update gate
        k = W_k x_t + b_k                            candidate
        h_t = (1 - u) * h_{t-1} + u * k

    Paper: L. Feng, Were RNNs all we needed?, 2024. The letters u and k stand for its z and h~. The paper computes the
    sequence in log space and therefore makes candidates positive there; here the sum is computed as it stands, which
    is as stable, because every product is with a number in [0, 1], and is right for any sign and any first state.

    Shapes: x_t [B, D], h_t [B, U]. Weights: kernel [D, 2U] and bias [2U], in the order u, k.

    Arguments, besides those of `LinearCell`:
        activation: activation of the candidate. The paper has none.

    >>> cell = MinGRUCell(5)
    >>> y, (h,) = cell(keras.ops.ones([3, 4]), cell.get_initial_state(3))
    >>> h.shape
    TensorShape([3, 5])
    """

    gate_count = 2

    def __init__(self, units, activation=None, **kwargs):
        super().__init__(units, **kwargs)
        self.activation = keras_object("activation", activation, self)

    def coefficients(self, ops, w, z):
        z_u, z_k = z
        u = ops.sigmoid(z_u)
        return 1.0 - u, u * ops.activation(self.activation, z_k)

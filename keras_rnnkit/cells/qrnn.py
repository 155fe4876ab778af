"""The pooling of quasi-recurrent networks."""

from __future__ import annotations

import keras

from keras_rnnkit.cells.arguments import keras_object
from keras_rnnkit.cells.linear import LinearCell

GATES = {"f": "gf", "fo": "gfo", "ifo": "gfoi"}
"""For each kind of pooling, the candidate g and the gates in the order of the weights."""


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class QRNNCell(LinearCell):
    """The pooling of a quasi-recurrent network.

        g =    tanh(W_g x_t + b_g)
        f = sigmoid(W_f x_t + b_f)
        o = sigmoid(W_o x_t + b_o)                   pooling "fo" and "ifo"
        i = sigmoid(W_i x_t + b_i)                   pooling "ifo"
        c_t = f * c_{t-1} + (1 - f) * g              pooling "f" and "fo"
        c_t = f * c_{t-1} + i * g                    pooling "ifo"
        y_t = c_t                                    pooling "f"
        y_t = o * c_t                                pooling "fo" and "ifo"

    Paper: J. Bradbury, Quasi-recurrent neural networks, 2017. The letters g and y stand for its z and h. The paper
    computes g and the gates by a convolution over some steps; here it has the width of one step. For more, put
    `keras.layers.Conv1D(..., padding="causal")` in front.

    Shapes: x_t [B, D], c_t and y_t [B, U]. Weights: kernel [D, G*U] and bias [G*U], in the order g, f, o, i.

    Arguments, besides those of `LinearCell`:
        activation: activation of the candidate.
        pooling: "f", "fo" or "ifo".

    >>> cell = QRNNCell(5, pooling="ifo")
    >>> y, (c,) = cell(keras.ops.ones([3, 4]), cell.get_initial_state(3))
    >>> y.shape
    TensorShape([3, 5])
    """

    def __init__(self, units, activation="tanh", pooling="fo", **kwargs):
        super().__init__(units, **kwargs)
        if pooling not in GATES:
            raise ValueError(
                f"QRNNCell: `pooling` must be one of {', '.join(map(repr, GATES))}. Received: pooling={pooling!r}."
            )
        self.activation = keras_object("activation", activation, self)
        self.pooling = pooling
        self.gate_count = len(GATES[pooling])
        self.emits_state = pooling == "f"

    def gate(self, ops, z, name: str):
        return ops.sigmoid(z[GATES[self.pooling].index(name)])

    def coefficients(self, ops, w, z):
        g = ops.activation(self.activation, z[0])
        f = self.gate(ops, z, "f")
        i = self.gate(ops, z, "i") if self.pooling == "ifo" else 1.0 - f
        return f, i * g

    def output(self, ops, w, z, s):
        return s if self.pooling == "f" else self.gate(ops, z, "o") * s

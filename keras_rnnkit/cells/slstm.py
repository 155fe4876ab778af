"""The sLSTM of xLSTM: an LSTM with exponential gates."""

from __future__ import annotations

import keras

from keras_rnnkit.cells.arguments import positive_integer
from keras_rnnkit.cells.base import GatedCell

FORGET_GATES = ("sigmoid", "exponential")


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class SLSTMCell(GatedCell):
    """The sLSTM of xLSTM: exponential gates over a memory that is divided by the sum of what was written to it.

        i = exp(W_i x_t + U_i h_{t-1} + b_i)
        f = sigmoid(W_f x_t + U_f h_{t-1} + b_f)               or exp, with forget_gate="exponential"
        g = tanh(W_g x_t + U_g h_{t-1} + b_g)
        o = sigmoid(W_o x_t + U_o h_{t-1} + b_o)
        c_t = f * c_{t-1} + i * g
        n_t = f * n_{t-1} + i
        h_t = o * c_t / n_t

    Paper: M. Beck, xLSTM: extended long short-term memory, 2024; g stands for its z. exp would overflow, so c and n are
    kept divided by exp(m_t), as the paper does in its equations 15 to 17, with m_t = max(log f + m_{t-1}, log i). A
    state whose n is zero has seen nothing, and takes m_t = log i.

    Shapes: x_t [B, D], states h, c, n, m [B, U]. Weights, gates in the order i, f, g, o: kernel [D, 4U], bias [4U],
    recurrent_kernel [U, 4U], or [heads, U/heads, 4U/heads] with heads.

    Arguments, besides those of `GatedCell`:
        forget_gate: "sigmoid" or "exponential".
        heads: in how many groups the units read each other's state. It must divide units.

    >>> cell = SLSTMCell(6, heads=2)
    >>> y, (h, c, n, m) = cell(keras.ops.ones([3, 4]), cell.get_initial_state(3))
    >>> y.shape, tuple(cell.recurrent_kernel.shape)
    (TensorShape([3, 6]), (2, 3, 12))
    """

    gate_count = 4

    def __init__(self, units, activation="tanh", forget_gate="sigmoid", heads=1, **kwargs):
        super().__init__(units, activation, **kwargs)
        if forget_gate not in FORGET_GATES:
            raise ValueError(
                f"SLSTMCell: `forget_gate` must be 'sigmoid' or 'exponential'. Received: forget_gate={forget_gate!r}."
            )
        self.forget_gate = forget_gate
        self.heads = positive_integer("heads", heads, self)
        if self.units % self.heads:
            raise ValueError(
                f"SLSTMCell: `heads` must divide `units`. Received: heads={heads}, units={units}. "
                f"Take for example units={self.heads * max(1, round(self.units / self.heads))}."
            )
        self.state_size = [self.units] * 4

    def build(self, input_shape):
        size = self.units // self.heads
        self.kernel = self.add_matrix("kernel", (input_shape[-1], 4 * self.units))
        shape = (self.units, 4 * self.units) if self.heads == 1 else (self.heads, size, 4 * size)
        self.recurrent_kernel = self.add_matrix("recurrent_kernel", shape, role="recurrent")
        self.bias = self.add_matrix("bias", self.bias_shape) if self.use_bias else None

    def recur(self, ops, w, h):
        if self.heads == 1:
            return ops.matmul(h, w.recurrent_kernel)
        products = [ops.matmul(head, w.recurrent_kernel[k]) for k, head in enumerate(ops.split(h, self.heads))]
        by_gate = zip(*(ops.split(product, 4) for product in products), strict=True)
        return ops.concatenate([head for gate in by_gate for head in gate])

    def gates(self, ops, w, z, r, state):
        _, c, n, m = state
        log_i, f, g, o = ops.split(z + r, 4)
        log_f = -ops.activation("softplus", -f) if self.forget_gate == "sigmoid" else f
        m_new = ops.where(n > 0.0, ops.maximum(log_f + m, log_i), log_i)
        i, f = ops.exp(log_i - m_new), ops.exp(ops.minimum(log_f + m - m_new, 0.0))
        c = f * c + i * ops.activation(self.activation, g)
        n = f * n + i
        h = ops.sigmoid(o) * c / ops.maximum(n, 1.0)  # n is at least 1: one of its factors is exp(0)
        return h, [h, c, n, m_new]

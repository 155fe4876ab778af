"""The mLSTM of xLSTM: an LSTM whose memory is a matrix."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import keras

from keras_rnnkit.cells.arguments import positive_integer
from keras_rnnkit.cells.input_weights import InputWeightsCell

FORGET_GATES = ("sigmoid", "exponential")


class Reads(NamedTuple):
    """What a step reads of its input. q, k, v: [..., heads, P]; log_i, log_f: [..., heads]; o: [..., U] or None."""

    q: Any
    k: Any
    v: Any
    log_i: Any
    log_f: Any
    o: Any


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class MLSTMCell(InputWeightsCell):
    """The mLSTM of xLSTM: each head keeps a matrix, into which it writes values under keys.

        q = W_q x_t + b_q
        k = (W_k x_t + b_k) / sqrt(P)
        v = W_v x_t + b_v
        i = exp(w_i x_t + b_i)                                 a number for each head
        f = sigmoid(w_f x_t + b_f)                             or exp, with forget_gate="exponential"
        o = sigmoid(W_o x_t + b_o)
        C_t = f * C_{t-1} + i * v k^T
        n_t = f * n_{t-1} + i * k
        y_t = o * (C_t q) / max(|n_t . q|, 1)

    Paper: M. Beck, xLSTM: extended long short-term memory, 2024; y stands for its h. exp would overflow, so C and n are
    kept divided by exp(m_t), with m_t = max(log f + m_{t-1}, log i), and the 1 in the last line becomes exp(-m_t). As
    in the authors' code, the bias of k is divided as well, and b_f starts between 3 (first head) and 6 (last head).

    No gate reads the state. The kernel `parallel` therefore computes a sequence in chunks: products of matrices within
    a chunk, and one line that carries C, n and m from chunk to chunk.

    Shapes: x_t [B, D], y_t [B, U], states C [B, U*P], n [B, U], m [B, heads], with P = U / heads. Weights: kernel
    [D, 4U + 2 heads] and bias [4U + 2 heads], in the order q, k, v, o, i, f; without o, 3U + 2 heads.

    Arguments, besides those of `InputWeightsCell`:
        heads: number of matrices. It must divide units.
        forget_gate: "sigmoid" or "exponential".
        output_gate: whether there is a gate o. A block with a gate of its own can do without.

    >>> cell = MLSTMCell(6, heads=2)
    >>> y, (C, n, m) = cell(keras.ops.ones([3, 4]), cell.get_initial_state(3))
    >>> y.shape, C.shape, m.shape
    (TensorShape([3, 6]), TensorShape([3, 18]), TensorShape([3, 2]))
    """

    emits_state = False

    def __init__(self, units, heads=4, forget_gate="sigmoid", output_gate=True, **kwargs):
        super().__init__(units, **kwargs)
        if forget_gate not in FORGET_GATES:
            raise ValueError(
                f"MLSTMCell: `forget_gate` must be 'sigmoid' or 'exponential'. Received: forget_gate={forget_gate!r}."
            )
        self.forget_gate = forget_gate
        self.output_gate = bool(output_gate)
        self.heads = positive_integer("heads", heads, self)
        if self.units % self.heads:
            raise ValueError(
                f"MLSTMCell: `heads` must divide `units`. Received: heads={heads}, units={units}. "
                f"Take for example units={self.heads * max(1, round(self.units / self.heads))}."
            )
        self.head_units = self.units // self.heads
        self.state_size = [self.units * self.head_units, self.units, self.heads]

    @property
    def gate_widths(self):
        return [self.units] * (4 if self.output_gate else 3) + [2 * self.heads]

    @property
    def initial_bias(self):
        def open_forget_gates(shape, dtype=None):
            start = self.bias_initializer((shape[0] - self.heads,), dtype=dtype)
            return keras.ops.concatenate([start, keras.ops.cast(keras.ops.linspace(3.0, 6.0, self.heads), dtype)])

        return open_forget_gates

    def recur(self, ops, w, h):
        return h[..., :1]  # no product: kernels keep r for each step, and all of C would be much to keep

    def reads(self, ops, z) -> Reads:
        """The arrays of `split_gates` by name, in float32 at least."""
        *inner, gates = (ops.widen(x) for x in z)
        q, k, v = (ops.unflatten(x, (self.heads, self.head_units)) for x in inner[:3])
        log_i, f = ops.split(gates, 2)
        log_f = -ops.activation("softplus", -f) if self.forget_gate == "sigmoid" else f
        o = ops.sigmoid(inner[3]) if self.output_gate else None
        return Reads(q, k * (1.0 / math.sqrt(self.head_units)), v, log_i, log_f, o)

    def matrices(self, ops, C, n):
        """C and n in float32 at least, n as one more row of the matrices: [..., heads, P + 1, P].

        What is read from them is then one product, and what is written to them one sum, with a 1 behind each v.
        """
        C = ops.unflatten(ops.widen(C), (self.heads, self.head_units, self.head_units))
        return ops.concatenate([C, ops.unflatten(ops.widen(n), (self.heads, 1, self.head_units))], axis=-2)

    def states(self, ops, matrices, m, like):
        """C, n and m as states, in the dtype of `like`; the reverse of `matrices`."""
        P = self.head_units
        states = ops.flatten(matrices[..., :P, :], 3), ops.flatten(matrices[..., P, :], 2), m
        return [ops.cast(state, like) for state in states]

    def output(self, ops, read, m, o, like):
        """y_t, from C q and n . q side by side [..., heads, P + 1]."""
        P = self.head_units
        # Where exp(-m) is larger than this limit, the quotient is zero in any case.
        least = ops.exp(ops.minimum(-m, 80.0))[..., None]
        h = ops.flatten(read[..., :P] / ops.maximum(ops.abs(read[..., P:]), least), 2)
        return ops.cast(h if o is None else o * h, like)

    def gates(self, ops, w, z, r, state):
        C, n, m = state
        q, k, v, log_i, log_f, o = self.reads(ops, self.split_gates(ops, z))
        m_new = ops.maximum(log_f + ops.widen(m), log_i)
        m_new = ops.widen(ops.cast(m_new, m))  # as the state will hold it: C and n must be divided by the same number
        f, i = ops.exp(log_f + ops.widen(m) - m_new), ops.exp(log_i - m_new)
        v = ops.concatenate([v, ops.zeros_like(v[..., :1]) + 1.0])
        memory = f[..., None, None] * self.matrices(ops, C, n) + (i[..., None] * v)[..., None] * k[..., None, :]
        read = ops.squeeze(ops.matmul(memory, q[..., None]), -1)
        return self.output(ops, read, m_new, o, C), self.states(ops, memory, m_new, C)

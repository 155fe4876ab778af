"""The real-gated linear recurrent unit of Griffin."""

from __future__ import annotations

import keras

from keras_rnnkit.cells.linear import LinearCell

SHARPNESS = 8.0
"""The paper's constant c: how strongly the recurrence gate can shorten the memory."""


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class RGLRUCell(LinearCell):
    """The real-gated linear recurrent unit: each unit remembers its input for a time that the input chooses.

        q = sigmoid(W_q x_t + b_q)                           recurrence gate
        i = sigmoid(W_i x_t + b_i)                           input gate
        a = sigmoid(lambda)^(8 q)
        h_t = a * h_{t-1} + sqrt(1 - a^2) * (i * x_t)

    Paper: S. De, Griffin: mixing gated linear recurrences with local attention, 2024; q stands for its r. The gates
    have full matrices here, where the authors' code has block-diagonal ones. The state starts at zero and its first
    input is scaled like all others; the authors' code takes a factor of one for the first step of a document.

    The state has no weights for its input: h_t is as wide as x_t. Where x_t has another width, W_x x_t + b_x takes its
    place in the last line.

    Shapes: x_t [B, D], h_t [B, U]. Weights: kernel [D, 2U] and bias [2U] in the order q, i, or [D, 3U] and [3U] with
    those of x behind them; decay (lambda) [U], which starts so that sigmoid(lambda) is between 0.9 and 0.999.

    >>> cell = RGLRUCell(5)
    >>> y, (h,) = cell(keras.ops.ones([3, 5]), cell.get_initial_state(3))
    >>> h.shape
    TensorShape([3, 5])
    """

    def build(self, input_shape):
        self.projects_input = input_shape[-1] != self.units
        self.gate_count = 3 if self.projects_input else 2
        super().build(input_shape)
        self.decay = self.add_weight(name="decay", shape=(self.units,), initializer=self.initial_decay)

    def initial_decay(self, shape, dtype=None):
        """logit(a) for a between 0.9 and 0.999."""
        a = keras.random.uniform(shape, 0.9, 0.999, dtype="float32", seed=keras.random.SeedGenerator(self.seed))
        return keras.ops.cast(keras.ops.log(a) - keras.ops.log1p(-a), dtype)

    def project(self, ops, w, x):
        """The inputs of the two gates, followed by x_t itself or its projection: [..., 3U]."""
        z = super().project(ops, w, x)
        return z if self.projects_input else ops.concatenate([z, x])

    def split_gates(self, ops, z):
        return ops.split(z, 3)

    def gate_inputs(self, ops, w, x):
        z = super().gate_inputs(ops, w, x)
        return z if self.projects_input else [*z, x]

    def coefficients(self, ops, w, z):
        z_q, z_i, x = z
        rate = SHARPNESS * ops.sigmoid(z_q) * ops.activation("softplus", -w.decay)  # -log a
        # 1 - exp(-2 rate), written with tanh: where a is close to one the difference would lose its digits.
        half = ops.tanh(rate)
        rest = 2.0 * half / (1.0 + half)
        return ops.exp(-rate), ops.sqrt(ops.maximum(rest, 1e-12)) * ops.sigmoid(z_i) * x

"""The simple recurrent unit."""

from __future__ import annotations

import math

import keras

from keras_rnnkit.cells.linear import LinearCell


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class SRUCell(LinearCell):
    """The simple recurrent unit, whose output is a mixture of its memory and its input.

        f = sigmoid(W_f x_t + v_f * c_{t-1} + b_f)                forget gate
        q = sigmoid(W_q x_t + v_q * c_{t-1} + b_q)                highway gate
        c_t = f * c_{t-1} + (1 - f) * W_g x_t
        y_t = q * c_t + (1 - q) * alpha * x_t

    Paper: T. Lei, Simple recurrent units for highly parallelizable recurrence, 2018. The letters q and y stand for its
    r and h. alpha = sqrt(1 + 2 exp(highway_bias)) keeps the variance of deep stacks. Where x_t has another width than
    y_t, W_x x_t takes its place, as in the authors' code.

    With `state_gates=False` the terms with v are absent, as in the paper's first version (2017). The recurrence is then
    linear in the state and runs on the kernel `parallel`.

    Shapes: x_t [B, D], c_t and y_t [B, U]. Weights: kernel [D, 3U] in the order g, f, q, or [D, 4U] with W_x behind
    them; bias [2U] (b_f, b_q); state_kernel [2, U] (v_f, v_q).

    Arguments, besides those of `LinearCell`:
        state_gates: whether the gates read the memory.
        highway_bias: where b_q starts. Below zero, more of the input passes at the start of training.

    >>> cell = SRUCell(5)
    >>> y, (c,) = cell(keras.ops.ones([3, 4]), cell.get_initial_state(3))
    >>> y.shape, cell.is_linear
    (TensorShape([3, 5]), False)
    """

    emits_state = False

    def __init__(self, units, state_gates=True, highway_bias=0.0, **kwargs):
        super().__init__(units, **kwargs)
        self.state_gates = state_gates
        self.highway_bias = highway_bias
        self.input_scale = math.sqrt(1.0 + 2.0 * math.exp(highway_bias))

    @property
    def is_linear(self):
        return not self.state_gates

    def build(self, input_shape):
        self.projects_input = input_shape[-1] != self.units
        self.kernel = self.add_matrix("kernel", (input_shape[-1], (4 if self.projects_input else 3) * self.units))
        self.bias = (
            self.add_matrix("bias", (2 * self.units,), initializer=self.start_of_bias) if self.use_bias else None
        )
        self.state_kernel = None
        if self.state_gates:
            self.state_kernel = self.add_matrix("state_kernel", (2, self.units), role="kernel")

    def start_of_bias(self, shape, dtype=None):
        start = self.bias_initializer((self.units,), dtype=dtype)
        return keras.ops.concatenate([start, keras.ops.full((self.units,), self.highway_bias, dtype=dtype)])

    def project(self, ops, w, x):
        """W_g x, what the gates get from the input, and the input of the highway: [..., 4U]."""
        z = ops.matmul(x, w.kernel)
        products = ops.split(z, 4) if self.projects_input else [*ops.split(z, 3), x]
        return ops.concatenate(self.with_bias(ops, w, products))

    def split_gates(self, ops, z):
        return ops.split(z, 4)

    def gate_inputs(self, ops, w, x):
        products = [ops.matmul(x, kernel) for kernel in ops.split(w.kernel, 4 if self.projects_input else 3)]
        return self.with_bias(ops, w, products if self.projects_input else [*products, x])

    def with_bias(self, ops, w, products):
        if w.bias is None:
            return products
        z_g, z_f, z_q, highway = products
        b_f, b_q = ops.split(w.bias, 2)
        return [z_g, ops.add_bias(z_f, b_f), ops.add_bias(z_q, b_q), highway]

    def coefficients(self, ops, w, z):
        z_g, z_f, _, _ = z
        f = ops.sigmoid(z_f)
        return f, (1.0 - f) * z_g

    def output(self, ops, w, z, s):
        _, _, z_q, highway = z
        q = ops.sigmoid(z_q)
        return q * s + (1.0 - q) * self.input_scale * highway

    def gates(self, ops, w, z, r, state):
        z_g, z_f, z_q, highway = self.split_gates(ops, z)
        if self.state_gates:
            z_f, z_q = z_f + w.state_kernel[0] * r, z_q + w.state_kernel[1] * r
        return self.linear_step(ops, w, [z_g, z_f, z_q, highway], r)

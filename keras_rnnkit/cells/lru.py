"""The linear recurrent unit."""

from __future__ import annotations

import math

import keras

from keras_rnnkit.cells.arguments import fraction, positive_integer, positive_number
from keras_rnnkit.cells.input_weights import columns
from keras_rnnkit.cells.linear import LinearCell


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class LRUCell(LinearCell):
    """The linear recurrent unit: decaying rotations of complex numbers, which no input changes.

        s_t = lambda * s_{t-1} + gamma * (B x_t)             S complex numbers
        y_t = Re(C s_t) + d * x_t                            with D_x x_t where x_t has another width than y_t
        lambda = exp(-exp(nu) + i exp(theta))
        gamma starts as sqrt(1 - |lambda|^2)

    Paper: A. Orvieto, Resurrecting recurrent neural networks for long sequences, 2023. s, d and D_x stand for its x,
    its D and a dense D. The paper puts a normalisation, a gated linear unit and a residual connection around it.

    Shapes: x_t [B, D], y_t [B, U], state [B, 2S]: the real parts first. Weights: kernel B [D, 2S], output_kernel C
    [2S, U], nu_log and theta_log and gamma_log [S], skip d [U] or skip_kernel [D, U].

    Arguments, besides those of `LinearCell` (there is no bias; B and C start as in the paper, so kernel_initializer is
    that of skip_kernel):
        units: width U of the output.
        state_units: number S of complex numbers. Left out, as many as units.
        min_radius, max_radius: |lambda| starts between them, evenly over that ring; near one for long memory.
        max_phase: the largest angle that lambda starts with.

    >>> cell = LRUCell(5, state_units=8, min_radius=0.9, max_radius=0.999)
    >>> y, (s,) = cell(keras.ops.ones([3, 4]), cell.get_initial_state(3))
    >>> y.shape, s.shape
    (TensorShape([3, 5]), TensorShape([3, 16]))
    """

    emits_state = False
    complex_state = True

    def __init__(self, units, state_units=None, min_radius=0.0, max_radius=1.0, max_phase=2 * math.pi, **kwargs):
        super().__init__(units, **{"use_bias": False, **kwargs})
        self.state_units = self.units if state_units is None else positive_integer("state_units", state_units, self)
        self.min_radius = fraction("min_radius", min_radius, self)
        self.max_radius = fraction("max_radius", max_radius, self)
        self.max_phase = positive_number("max_phase", max_phase, self, 0.314)
        if not self.min_radius < self.max_radius:
            raise ValueError(
                f"LRUCell: `min_radius` must be below `max_radius`. Received: min_radius={min_radius}, "
                f"max_radius={max_radius}."
            )
        if self.use_bias:
            raise ValueError("LRUCell has no bias. Received: use_bias=True. Put a Dense layer behind it for one.")
        self.state_size = 2 * self.state_units

    def build(self, input_shape):
        features, size = input_shape[-1], self.state_units
        seeds = keras.random.SeedGenerator(self.seed)  # one for both: two of the same seed would draw the same numbers
        radius = keras.random.uniform((size,), self.min_radius**2, self.max_radius**2, dtype="float32", seed=seeds)
        phase = keras.random.uniform((size,), 0.0, self.max_phase, dtype="float32", seed=seeds)
        decay = -0.5 * keras.ops.log(keras.ops.clip(radius, 1e-8, 1.0 - 1e-7))
        self.nu_log = self.add_constant("nu_log", keras.ops.log(decay))
        self.theta_log = self.add_constant("theta_log", keras.ops.log(keras.ops.maximum(phase, 1e-8)))
        self.gamma_log = self.add_constant("gamma_log", 0.5 * keras.ops.log1p(-keras.ops.exp(-2.0 * decay)))
        normal = keras.initializers.RandomNormal
        self.kernel = self.add_weight(
            name="kernel",
            shape=(features, 2 * size),
            initializer=normal(stddev=(2 * features) ** -0.5),
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.output_kernel = self.add_weight(
            name="output_kernel", shape=(2 * size, self.units), initializer=normal(stddev=size**-0.5)
        )
        self.skip = self.skip_kernel = None
        if features == self.units:
            self.skip = self.add_weight(name="skip", shape=(self.units,), initializer=normal(stddev=1.0))
        else:
            self.skip_kernel = self.add_matrix("skip_kernel", (features, self.units), role="kernel")

    def add_constant(self, name: str, value) -> keras.Variable:
        """A weight that starts as this array."""
        return self.add_weight(
            name=name, shape=value.shape, initializer=lambda shape, dtype=None: keras.ops.cast(value, dtype)
        )

    def project(self, ops, w, x):
        """gamma * (B x), and what the output gets from the input: [..., 2S + U]."""
        return ops.concatenate(self.gate_inputs(ops, w, x))

    def split_gates(self, ops, z):
        return columns(ops, z, [2 * self.state_units, self.units])

    def gate_inputs(self, ops, w, x):
        gamma = ops.exp(w.gamma_log)
        driven = ops.matmul(x, w.kernel) * ops.concatenate([gamma, gamma])
        skipped = x * w.skip if w.skip_kernel is None else ops.matmul(x, w.skip_kernel)
        return [driven, skipped]

    def coefficients(self, ops, w, z):
        b, _ = z
        radius, angle = ops.exp(-ops.exp(w.nu_log)), ops.exp(w.theta_log)
        rotation = ops.concatenate([radius * ops.cos(angle), radius * ops.sin(angle)])
        return ops.zeros_like(b) + rotation, b

    def output(self, ops, w, z, s):
        return ops.matmul(s, w.output_kernel) + z[1]

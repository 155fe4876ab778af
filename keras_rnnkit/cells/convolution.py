"""A short causal convolution as a cell, so that it streams, resets and exports like any other."""

from __future__ import annotations

import keras

from keras_rnnkit.cells.arguments import positive_integer
from keras_rnnkit.cells.input_weights import InputWeightsCell


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class ConvolutionCell(InputWeightsCell):
    """A causal convolution of each feature over the last few steps: its state is the inputs that it will see again.

        y_t = W_0 * x_{t-K+1} + ... + W_{K-1} * x_t + b
        s_t = x_{t-K+2}, ..., x_t

    Paper: J. Bradbury, Quasi-recurrent neural networks, 2017, has a convolution in front of its recurrence; S. De,
    Griffin, 2024, and M. Beck, xLSTM, 2024, have this one, of width 4 and without sums over features. In front of a
    sequence there are zeros. A masked step is left out: the steps around it become neighbours.

    The kernel `parallel` computes a whole sequence as K products, and an exported file too.

    Shapes: x_t and y_t [B, U]: the output is as wide as the input. State [B, (K-1) * U], the oldest input first.
    Weights: kernel [K, U], bias [U].

    Arguments, besides those of `InputWeightsCell`:
        kernel_size: number K of steps that an output sees, 2 at least.

    >>> cell = ConvolutionCell(5)
    >>> y, (s,) = cell(keras.ops.ones([3, 5]), cell.get_initial_state(3))
    >>> y.shape, s.shape
    (TensorShape([3, 5]), TensorShape([3, 15]))
    """

    emits_state = False

    def __init__(self, units, kernel_size=4, **kwargs):
        super().__init__(units, **kwargs)
        self.kernel_size = positive_integer("kernel_size", kernel_size, self)
        if self.kernel_size < 2:
            raise ValueError(
                "ConvolutionCell: `kernel_size` must be 2 or more, since an output of one step has nothing to "
                "remember. Received: kernel_size=1."
            )
        self.state_size = (self.kernel_size - 1) * self.units

    def build(self, input_shape):
        if input_shape[-1] != self.units:
            raise ValueError(
                f"ConvolutionCell convolves each feature alone, so the input must have {self.units} features. "
                f"Received: an input of {input_shape[-1]} features. Take units={input_shape[-1]}, or put a "
                f"Dense({self.units}) in front."
            )
        self.kernel = self.add_matrix("kernel", (self.kernel_size, self.units))
        self.bias = self.add_matrix("bias", (self.units,)) if self.use_bias else None

    def project(self, ops, w, x):
        return x

    def gate_inputs(self, ops, w, x):
        return [x]

    def recur(self, ops, w, h):
        return h[..., :1]  # no product

    def weighted(self, w, steps):
        """y, from the K steps that it sees, the oldest first."""
        y = sum(w.kernel[k] * step for k, step in enumerate(steps))
        return y if w.bias is None else y + w.bias

    def gates(self, ops, w, z, r, state):
        steps = [*ops.split(state[0], self.kernel_size - 1), z]
        return self.weighted(w, steps), [ops.concatenate(steps[1:])]

"""The base class of cells without a recurrent kernel."""

from __future__ import annotations

import itertools

from keras_rnnkit.cells.arguments import keras_object
from keras_rnnkit.cells.base import Cell


class InputWeightsCell(Cell):
    """A cell whose weights multiply the input alone: kernel [D, G*U] and bias [G*U], with G = gate_count.

    Arguments, besides those of `Cell`:
        use_bias: whether the gates have a bias.
        kernel_initializer, bias_initializer: initial values of the weights.
        kernel_regularizer, bias_regularizer: penalties on the weights.
        kernel_constraint, bias_constraint: projections of the weights after each update.
    """

    gate_count = 1

    def __init__(
        self,
        units,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        **kwargs,
    ):
        super().__init__(units, **kwargs)
        if self.recurrent_dropout:
            raise ValueError(
                f"{type(self).__name__} keeps its state by multiplying it with a number at each step, so dropping "
                f"units of it would end their memory. Received: recurrent_dropout={self.recurrent_dropout}. Use "
                "`dropout`, which drops inputs, or dropout between layers."
            )
        self.use_bias = use_bias
        objects = {
            "kernel_initializer": kernel_initializer,
            "bias_initializer": bias_initializer,
            "kernel_regularizer": kernel_regularizer,
            "bias_regularizer": bias_regularizer,
            "kernel_constraint": kernel_constraint,
            "bias_constraint": bias_constraint,
        }
        for name, value in objects.items():
            setattr(self, name, keras_object(name, value, self))

    def build(self, input_shape):
        self.kernel = self.add_matrix("kernel", (input_shape[-1], self.width))
        self.bias = self.add_matrix("bias", (self.width,), initializer=self.initial_bias) if self.use_bias else None

    @property
    def gate_widths(self) -> list[int]:
        """The number of columns of the kernel that belong to each gate."""
        return [self.units] * self.gate_count

    @property
    def width(self) -> int:
        """Columns of the kernel."""
        return sum(self.gate_widths)

    @property
    def initial_bias(self):
        return self.bias_initializer

    def project(self, ops, w, x):
        z = ops.matmul(x, w.kernel)
        return z if w.bias is None else ops.add_bias(z, w.bias)

    def split_gates(self, ops, z):
        """z_t [..., width] as an array for each gate."""
        return columns(ops, z, self.gate_widths)

    def gate_inputs(self, ops, w, x):
        """What `split_gates(project(x))` returns, from a product for each gate.

        Kernels call this for whole sequences: one product for all gates would have to be copied to take it apart, and
        so would the gradients of the gates to put them together. A subclass with a `project` of its own is right
        without this method, and faster with it.
        """
        products = [ops.matmul(x, kernel) for kernel in columns(ops, w.kernel, self.gate_widths)]
        if w.bias is None:
            return products
        biases = columns(ops, w.bias, self.gate_widths)
        return [ops.add_bias(z, bias) for z, bias in zip(products, biases, strict=True)]


def columns(ops, x, widths: list[int]) -> list:
    """The columns of x [..., sum of widths] in groups of these widths."""
    if len(set(widths)) == 1:
        return list(ops.split(x, len(widths)))
    ends = list(itertools.accumulate(widths))
    return [x[..., end - width : end] for width, end in zip(widths, ends, strict=True)]

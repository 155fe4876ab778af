"""The base class of cells without a recurrent kernel."""

from __future__ import annotations

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
    def width(self) -> int:
        """Width of z_t."""
        return self.gate_count * self.units

    @property
    def initial_bias(self):
        return self.bias_initializer

    def project(self, ops, w, x):
        z = ops.matmul(x, w.kernel)
        return z if w.bias is None else z + w.bias

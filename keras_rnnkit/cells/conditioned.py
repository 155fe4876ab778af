"""A cell that reads a fixed vector of the sequence at every step."""

from __future__ import annotations

import keras

from keras_rnnkit import keras_internals
from keras_rnnkit.cells.arguments import keras_object, positive_integer
from keras_rnnkit.cells.wrapper import WrapperCell
from keras_rnnkit.ops import keras as kops


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class ConditionedCell(WrapperCell):
    """Any cell with a fixed vector v added to its input at every step, such as an image's features.

        h_t = tanh(W_hh h_{t-1} + W_xh x_t + W_ih v)          for the vanilla cell; all gates of the others

    Paper: A. Karpathy and L. Fei-Fei, Deep visual-semantic alignments, 2015, equation 14. The paper adds the vector at
    the first step only; here it is added at every step.

    v is the last state, one that never changes: `Recurrent(cell)(x, condition=v)` sets it, as does the last item
    of `initial_state`; `return_state=True` and a stream return it unchanged. W_ih v is computed once for a sequence.

    Shapes: those of the wrapped cell; v [B, V]; condition_kernel W_ih [V, width of z].

    Arguments:
        cell: the cell to condition.
        condition_size: width V of the vector.
        condition_initializer, condition_regularizer, condition_constraint: initial values, penalty and projection
            of W_ih.

    >>> import keras_rnnkit as rk
    >>> layer = rk.Recurrent(ConditionedCell(rk.cells.VanillaCell(3), condition_size=2))
    >>> layer(keras.ops.ones([4, 6, 5]), condition=keras.ops.ones([4, 2])).shape
    TensorShape([4, 3])
    """

    def __init__(
        self,
        cell,
        condition_size,
        condition_initializer="glorot_uniform",
        condition_regularizer=None,
        condition_constraint=None,
        **kwargs,
    ):
        super().__init__(cell, **kwargs)
        self.check_no_noise_inside()
        check_no_condition_inside(cell)
        self.condition_size = positive_integer("condition_size", condition_size, self)
        self.condition_initializer = keras_object("condition_initializer", condition_initializer, self)
        self.condition_regularizer = keras_object("condition_regularizer", condition_regularizer, self)
        self.condition_constraint = keras_object("condition_constraint", condition_constraint, self)
        self.state_size = [*cell.state_sizes, self.condition_size]

    def build(self, input_shape):
        super().build(input_shape)
        self.condition_kernel = self.add_weight(
            name="condition_kernel",
            shape=(self.condition_size, projected_width(self.cell, input_shape[-1])),
            initializer=self.condition_initializer,
            regularizer=self.condition_regularizer,
            constraint=self.condition_constraint,
        )

    def inputs(self, ops, w, x, state, training=False, mask=None):
        *state, v = state
        return super().inputs(ops, w, x, state, training=training, mask=mask) + ops.matmul(v, w.condition_kernel)

    def gates(self, ops, w, z, r, state):
        *state, v = state
        y, state = super().gates(ops, w, z, r, state)
        return y, [*state, v]


def check_no_condition_inside(cell) -> None:
    if cell.condition_size is not None:
        raise ValueError(
            f"ConditionedCell holds one vector as its last state, and {type(cell).__name__} inside it has one of width "
            f"{cell.condition_size} already. Join the vectors, and wrap the cell once with the sum of their widths."
        )


def projected_width(cell, features: int) -> int:
    """The width of z for inputs of that many features."""
    w = cell.weights_as(keras.ops.convert_to_tensor)
    x = keras.KerasTensor((1, features), dtype=cell.compute_dtype)
    z = keras_internals.compute_output_spec(lambda x: cell.project(kops, w, x), x)
    if not hasattr(z, "shape"):
        raise ValueError(
            f"BatchNormCell and ConditionedCell change the projected input and need it as one array. "
            f"{type(cell).__name__}.project returns {type(z).__name__}. Let it return one array, and split it in gates."
        )
    return z.shape[-1]

"""A cell that sees a fixed vector of the sequence at every step."""

from __future__ import annotations

import keras

from keras_rnnkit import keras_internals
from keras_rnnkit.cells.base import positive_integer
from keras_rnnkit.cells.wrapper import WrapperCell
from keras_rnnkit.ops import keras as kops


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class ConditionedCell(WrapperCell):
    """Any cell with a fixed vector v added to its input at every step, such as an image's features.

        h_t = tanh(W_hh h_{t-1} + W_xh x_t + W_ih v)          for the vanilla cell; all gates of the others

    Paper: A. Karpathy and L. Fei-Fei, Deep visual-semantic alignments, 2015, equation 14.

    v is the last state, one that never changes: `Recurrent(cell)(x, condition=v)` sets it, as does the last item
    of `initial_state`; `return_state=True` and a stream hand it on. W_ih v is computed once for a sequence.

    Shapes: v [B, V]; condition_kernel W_ih [V, width of z].

    Arguments:
        cell: the cell to condition.
        condition_size: width V of the vector.
        condition_initializer, condition_regularizer, condition_constraint: for W_ih.

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
        self.condition_size = positive_integer("condition_size", condition_size, self)
        self.condition_initializer = keras.initializers.get(condition_initializer)
        self.condition_regularizer = keras.regularizers.get(condition_regularizer)
        self.condition_constraint = keras.constraints.get(condition_constraint)
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


def projected_width(cell, features: int) -> int:
    """The width of z for inputs of that many features."""
    w = cell.weights_as(keras.ops.convert_to_tensor)
    x = keras.KerasTensor((1, features), dtype=cell.compute_dtype)
    z = keras_internals.compute_output_spec(lambda x: cell.project(kops, w, x), x)
    if not hasattr(z, "shape"):
        raise ValueError(
            f"ConditionedCell adds W_ih v to the projected input, which {type(cell).__name__} splits into several "
            "arrays. Wrap the plain cell first, then add zoneout around: ZoneoutCell(ConditionedCell(cell, V))."
        )
    return z.shape[-1]

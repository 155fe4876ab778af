"""The GRU operator, with the reset before or after the recurrent product."""

from __future__ import annotations

import numpy as np

from keras_rnnkit.cells.gru import GRUCell
from keras_rnnkit.export.lowering.context import LoweringContext, innermost, reader
from keras_rnnkit.export.lowering.operators import native
from keras_rnnkit.export.lowering.operators.affine import Affine

REASON = "one GRU operator"
FAMILY = GRUCell
GATES = [0, 1, 2]
"""Keras' order is the operator's: update, reset, candidate."""


def refusal(cell, context: LoweringContext) -> str | None:
    """Why the operator cannot run the cell exactly, or None."""
    return native.refusal_of_int8("GRU", context) or native.refusal("GRU", (GRUCell,), cell, context)


def lower(cell, steps, states, wanted):
    reset_after = innermost(cell).reset_after
    return native.write("GRU", cell, steps, states, wanted, operator_weights, linear_before_reset=int(reset_after))


def operator_weights(shape: Affine):
    core = shape.cell
    w = core.weights_as(reader(np.float32))
    recurrent_bias = w.bias[1] if core.reset_after and w.bias is not None else None
    return (
        native.stacked(shape.kernel, GATES),
        native.stacked(w.recurrent_kernel, GATES),
        native.stacked_bias(shape.bias, recurrent_bias, GATES),
        None,
    )

"""The RNN operator."""

from __future__ import annotations

import numpy as np

from keras_rnnkit.cells.vanilla import VanillaCell
from keras_rnnkit.export.lowering.context import LoweringContext, reader
from keras_rnnkit.export.lowering.operators import native
from keras_rnnkit.export.lowering.operators.affine import Affine

REASON = "one RNN operator, the fastest for up to three rows; batch= tells of more"
FAMILY = VanillaCell
ROWS_FOR_SCAN = 4
"""From so many rows on onnxruntime's RNN operator takes longer than a Scan with the projection before it."""


def refusal(cell, context: LoweringContext) -> str | None:
    """Why the operator cannot run the cell exactly, or is not the fastest, or None."""
    sentence = native.refusal_of_int8("RNN", context) or native.refusal("RNN", (VanillaCell,), cell, context)
    if sentence is None and context.prefer == "auto" and (context.batch or 0) >= ROWS_FOR_SCAN:
        return (
            f"onnxruntime's RNN operator is slower than a Scan from {ROWS_FOR_SCAN} rows on, and batch="
            f"{context.batch}; lowering='native' takes it all the same"
        )
    return sentence


def lower(cell, steps, states, wanted):
    return native.write("RNN", cell, steps, states, wanted, operator_weights)


def operator_weights(shape: Affine):
    w = shape.cell.weights_as(reader(np.float32))
    return (
        native.stacked(shape.kernel, [0]),
        native.stacked(w.recurrent_kernel, [0]),
        native.stacked_bias(shape.bias, None, [0]),
        None,
    )

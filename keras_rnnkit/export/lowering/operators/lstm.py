"""The LSTM operator: the plain, the peephole and the coupled cell."""

from __future__ import annotations

import numpy as np

from keras_rnnkit.cells.coupled_lstm import CoupledLSTMCell
from keras_rnnkit.cells.lstm import LSTMCell
from keras_rnnkit.cells.peephole_lstm import PeepholeLSTMCell
from keras_rnnkit.export.lowering.context import LoweringContext, innermost, reader
from keras_rnnkit.export.lowering.operators import native
from keras_rnnkit.export.lowering.operators.affine import Affine
from keras_rnnkit.ops import activations

REASON = "one LSTM operator"
FAMILY = LSTMCell
EQUATIONS = (LSTMCell, PeepholeLSTMCell, CoupledLSTMCell)


def refusal(cell, context: LoweringContext) -> str | None:
    """Why the operator cannot run the cell exactly, or None."""
    sentence = native.refusal("LSTM", EQUATIONS, cell, context)
    if sentence:
        return sentence
    core = innermost(cell)
    if core.projection:
        return "ONNX's LSTM has no projection of its output"
    if isinstance(core, CoupledLSTMCell) and activations.name(core.recurrent_activation) not in ODD_AROUND_HALF:
        return f"1 - {activations.name(core.recurrent_activation)} is no gate of ONNX's LSTM"
    return None


ODD_AROUND_HALF = ("sigmoid", "hard_sigmoid")
"""Functions with 1 - s(a) = s(-a): the input gate of the coupled cell is its forget gate with all weights negated."""


def lower(cell, steps, states, wanted):
    return native.write("LSTM", cell, steps, states, wanted, operator_weights)


def operator_weights(shape: Affine):
    """Keras' gates i, f, g, o (f, g, o in the coupled cell) as the operator has them: i, o, f, g."""
    core = shape.cell
    coupled = isinstance(core, CoupledLSTMCell)
    gates, signs = ([0, 2, 0, 1], [-1.0, 1.0, 1.0, 1.0]) if coupled else ([0, 3, 1, 2], None)
    w = core.weights_as(reader(np.float32))
    peepholes = None
    if isinstance(core, PeepholeLSTMCell):
        p_i, p_f, p_o = w.peephole_kernel
        peepholes = np.concatenate([p_i, p_o, p_f])[None]
    return (
        native.stacked(shape.kernel, gates, signs),
        native.stacked(w.recurrent_kernel, gates, signs),
        native.stacked_bias(shape.bias, None, gates, signs),
        peepholes,
    )

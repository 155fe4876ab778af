"""The kernel for cells whose gates read the input alone: nearly all of a sequence is computed for all steps at once."""

from __future__ import annotations

from types import ModuleType

import keras

from keras_rnnkit import keras_internals
from keras_rnnkit.cells.base import dropped
from keras_rnnkit.cells.convolution import ConvolutionCell
from keras_rnnkit.cells.linear import LinearCell
from keras_rnnkit.cells.mlstm import MLSTMCell
from keras_rnnkit.kernels import chunkwise, hoisted, whole_sequence, windows
from keras_rnnkit.kernels.call_flags import CallFlags
from keras_rnnkit.kernels.linear_recurrence import ENGINES
from keras_rnnkit.ops import keras as kops

FORMS: dict[type, ModuleType] = {LinearCell: whole_sequence, MLSTMCell: chunkwise, ConvolutionCell: windows}
"""How each family of cells is computed: a module with `refusal`, `remark` and `outputs_and_states`."""


def form_of(cell) -> ModuleType | None:
    """The entry of `FORMS` for a cell, None for a cell that has to go step by step."""
    return next((form for family, form in FORMS.items() if isinstance(cell, family)), None)


def refusal(layer, call: CallFlags) -> str | None:
    """Why this kernel cannot run the layer, or None."""
    if keras.backend.backend() not in ENGINES:
        return f"the {keras.backend.backend()} backend has no parallel kernel yet, only {' and '.join(ENGINES)} have"
    form = form_of(layer.equation)
    if form is None:
        return f"the gates of {type(layer.cell).__name__} read the state, so each step waits for the one before it"
    if layer.memory == "checkpoint":
        return "memory='checkpoint' computes steps again, which the hoisted kernel does"
    if layer.unroll:
        return "unroll=True asks for one copy of the cell a step, without a loop"
    return form.refusal(layer.equation, call)


def remark(layer, call: CallFlags) -> str:
    """A sentence on how this kernel runs the layer, for tables such as `rk.explain`; may be empty."""
    form = form_of(layer.equation)
    return "" if form is None else form.remark(call)


def run(layer, sequences, initial_state, mask, reset, training):
    """(last output, outputs, last states), as Keras' `inner_loop` returns them."""
    with keras_internals.autocast_scope(layer.equation.compute_dtype):  # a cell computes in its own dtype
        return run_in_dtype_of_cell(layer, sequences, initial_state, mask, reset, training)


def run_in_dtype_of_cell(layer, sequences, initial_state, mask, reset, training):
    cell, form = layer.equation, form_of(layer.equation)
    assert form is not None
    x = keras.ops.cast(hoisted.in_time_order(layer, sequences), cell.compute_dtype)
    flags = {"mask": mask, "reset": reset}
    flags = {name: hoisted.in_time_order(layer, f) for name, f in flags.items() if f is not None}
    if training:
        x = dropped(x, layer.cell.get_dropout_mask(x[0]))
    w = cell.weights_as(keras.ops.convert_to_tensor)
    states = [keras.ops.convert_to_tensor(s, dtype=cell.compute_dtype) for s in initial_state]
    z = gate_inputs(cell, w, x, states, training, flags.get("mask"))
    start = layer.start_states(initial_state) if "reset" in flags else None
    outputs, states = form.outputs_and_states(cell, w, z, states, flags, start, bool(training))
    return hoisted.layer_outputs(layer, outputs, states, flags.get("mask"))


def gate_inputs(cell, w, x, states, training, mask) -> list:
    """z of all steps as an array for each gate, from products of their own where the cell has them."""
    methods = {"gate_inputs", "project", "inputs"}
    latest = next(vars(cls) for cls in type(cell).__mro__ if methods & vars(cls).keys())
    if "gate_inputs" in latest:
        return cell.gate_inputs(kops, w, x)
    # A subclass has changed what the gates get from the input, and `gate_inputs` does not know of it.
    return cell.split_gates(kops, cell.inputs(kops, w, x, states, training=training, mask=mask))

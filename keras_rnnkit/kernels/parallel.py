"""The kernel for cells that are linear in their state: all of a step but one line is computed for all steps at once."""

from __future__ import annotations

import keras

from keras_rnnkit import keras_internals
from keras_rnnkit.cells.base import dropped
from keras_rnnkit.cells.linear import LinearCell
from keras_rnnkit.kernels import hoisted
from keras_rnnkit.kernels.call_flags import CallFlags
from keras_rnnkit.kernels.linear_recurrence import ENGINES, LinearRecurrence
from keras_rnnkit.kernels.recurrence import Recurrence
from keras_rnnkit.ops import keras as kops


def refusal(layer, call: CallFlags) -> str | None:
    """Why this kernel cannot run the layer, or None."""
    if keras.backend.backend() not in ENGINES:
        return f"the {keras.backend.backend()} backend has no parallel kernel yet, only {' and '.join(ENGINES)} have"
    cell = layer.equation
    if not isinstance(cell, LinearCell):
        return f"the gates of {type(layer.cell).__name__} read the state, so each step waits for the one before it"
    if not cell.is_linear:
        return f"this {type(cell).__name__} has gates that read the state, so each step waits for the one before it"
    if layer.memory == "checkpoint":
        return "memory='checkpoint' computes steps again, which the hoisted kernel does"
    if layer.unroll:
        return "unroll=True asks for one copy of the cell a step, without a loop"
    return None


def remark(layer, call: CallFlags) -> str:
    """A sentence on how this kernel runs the layer, for tables such as `rk.explain`; may be empty."""
    return ""


def run(layer, sequences, initial_state, mask, reset, training):
    """(last output, outputs, last states), as Keras' `inner_loop` returns them."""
    with keras_internals.autocast_scope(layer.equation.compute_dtype):  # a cell computes in its own dtype
        return run_in_dtype_of_cell(layer, sequences, initial_state, mask, reset, training)


def run_in_dtype_of_cell(layer, sequences, initial_state, mask, reset, training):
    cell = layer.equation
    x = keras.ops.cast(hoisted.in_time_order(layer, sequences), cell.compute_dtype)
    flags = {"mask": mask, "reset": reset}
    flags = {name: hoisted.in_time_order(layer, f) for name, f in flags.items() if f is not None}
    if training:
        x = dropped(x, layer.cell.get_dropout_mask(x[0]))
    w = cell.weights_as(keras.ops.convert_to_tensor)
    first = keras.ops.convert_to_tensor(initial_state[0], dtype=cell.compute_dtype)
    z = cell.inputs(kops, w, x, [first], training=training, mask=flags.get("mask"))
    a, b = cell.with_flags(
        kops,
        *cell.coefficients(kops, w, z),
        valid=flags["mask"][..., None] if "mask" in flags else None,
        reset=flags["reset"][..., None] if "reset" in flags else None,
        start=layer.start_states(initial_state)[0],
    )
    s = LinearRecurrence(cell.times, cell.complex_state, bool(training)).solve(a, b, first)
    recurrence = Recurrence(cell, masked="mask" in flags, resets="reset" in flags)
    stacks = [s]
    if recurrence.carries_output:
        y = cell.output(kops, w, z, s)
        stacks.append(held(y, flags["mask"]) if "mask" in flags else y)
    return hoisted.as_keras(layer, stacks, recurrence, flags.get("mask"))


def held(y, mask):
    """y [T, B, U] with the output of the last valid step at each masked step."""
    valid_first = keras.ops.argsort(keras.ops.cast(~mask, "int32"), axis=0)  # stable: in order of time
    count = keras.ops.cumsum(keras.ops.cast(mask, "int32"), axis=0)
    latest = keras.ops.take_along_axis(valid_first, keras.ops.maximum(count - 1, 0), axis=0)
    return keras.ops.take_along_axis(y, latest[..., None], axis=0)

"""The kernel for cells that split: all input products before the loop, all weight gradients after it."""

from __future__ import annotations

import keras

from keras_rnnkit import keras_internals
from keras_rnnkit.cells.base import dropped
from keras_rnnkit.kernels import checkpointing, loop_choice, scan
from keras_rnnkit.kernels.call_flags import CallFlags
from keras_rnnkit.kernels.loop_inputs import ENGINES, stacks_of
from keras_rnnkit.kernels.recurrence import Recurrence, per_row
from keras_rnnkit.ops import keras as kops


def refusal(layer, call: CallFlags) -> str | None:
    """Why this kernel cannot run the layer, or None."""
    if keras.backend.backend() not in ENGINES:
        return f"the {keras.backend.backend()} backend has no hoisted loop yet, only {' and '.join(ENGINES)} have"
    if layer.equation is None:
        return (
            f"{type(layer.cell).__name__} does not say which part of a step is independent of the state; derive it "
            "from rk.cells.Cell with project, recur and gates"
        )
    if keras_internals.draws_mask_per_gate(layer.cell) and (layer.cell.dropout or layer.cell.recurrent_dropout):
        return f"a stock {type(layer.cell).__name__} with dropout draws a mask for each gate"
    if layer.unroll:
        return "unroll=True asks for one copy of the cell a step, without a loop"
    return None


def remark(layer, call: CallFlags) -> str:
    """A sentence on how this kernel runs the layer, for tables such as `rk.explain`; may be empty."""
    loops = loop_choice.describe(layer.equation, call)
    return f"{loops} and computes steps again instead of keeping them" if layer.memory == "checkpoint" else loops


def run(layer, sequences, initial_state, mask, reset, training):
    """(last output, outputs, last states), as Keras' `inner_loop` returns them."""
    if training and layer.memory == "keep" and loop_choice.best_as_in_stock(layer.equation, sequences, reset):
        return scan.run(layer, sequences, initial_state, mask, reset, training)
    with keras_internals.autocast_scope(layer.equation.compute_dtype):  # a cell computes in its own dtype
        return run_in_dtype_of_cell(layer, sequences, initial_state, mask, reset, training)


def run_in_dtype_of_cell(layer, sequences, initial_state, mask, reset, training):
    cell = layer.equation
    recurrence = Recurrence(cell, masked=mask is not None, resets=reset is not None)
    x = keras.ops.cast(in_time_order(layer, sequences), cell.compute_dtype)
    steps = {name: in_time_order(layer, f) for name, f in {"mask": mask, "reset": reset}.items() if f is not None}
    consts = {}
    if training:
        x = dropped(x, layer.cell.get_dropout_mask(x[0]))
    if reset is not None:
        consts["start"] = layer.start_states(initial_state)
    if training and cell.recurrent_dropout:
        consts["drop"] = keras.ops.cast(layer.cell.get_recurrent_dropout_mask(initial_state[0]), x.dtype)
    weights = [keras.ops.convert_to_tensor(v) for v in cell.weights]
    carry = recurrence.first_carry(initial_state)
    if training and layer.memory == "checkpoint":
        stacks = checkpointing.run(recurrence, {"x": x, **steps}, carry, consts, weights, layer.return_sequences)
    else:
        stacks = stacks_of(recurrence, {"x": x, **steps}, carry, consts, weights, training)
    return as_keras(layer, stacks, recurrence, steps.get("mask"))


def as_keras(layer, stacks, recurrence, mask):
    states = [stack[-1] for stack in recurrence.states(stacks)]
    return layer_outputs(layer, recurrence.outputs(stacks), states, mask)


def layer_outputs(layer, outputs, states, mask):
    """What Keras' `inner_loop` returns, from the outputs [T, B, U] and the last states."""
    if mask is not None:
        visible = mask if layer.zero_output_for_mask else has_started(mask)
        visible = visible if layer.return_sequences else visible[-1:]  # a checkpointed layer has kept no other output
        outputs = outputs if layer.return_sequences else outputs[-1:]
        outputs = kops.where(per_row(visible, outputs), outputs, kops.zeros_like(outputs))
    last = outputs[-1]
    outputs = keras.ops.swapaxes(outputs, 0, 1) if layer.return_sequences else last[:, None]
    return last, outputs, states


def has_started(mask):
    """Whether a row has had a valid step yet, [T, B]: before its first one a row's output is zero, as in Keras."""
    return keras.ops.cumsum(keras.ops.cast(mask, "int32"), axis=0) > 0


def in_time_order(layer, batch_major):
    """[B, T, ...] as the loop reads it: [T, B, ...], last step first with go_backwards."""
    x = keras.ops.swapaxes(batch_major, 0, 1)
    return keras.ops.flip(x, axis=0) if layer.go_backwards else x

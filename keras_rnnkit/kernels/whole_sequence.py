"""Cells that are linear in their state: all of a step but one line is computed for all steps at once."""

from __future__ import annotations

import keras

from keras_rnnkit.kernels.call_flags import CallFlags
from keras_rnnkit.kernels.linear_recurrence import LinearRecurrence, engine
from keras_rnnkit.ops import keras as kops


def refusal(cell, call: CallFlags) -> str | None:
    """Why the cell cannot be computed in this way, or None."""
    if not cell.is_linear:
        return f"this {type(cell).__name__} has gates that read the state, so each step waits for the one before it"
    return None


def remark(call: CallFlags) -> str:
    """What a reader should know about this way of running a cell; an empty string for nothing."""
    return engine().remark()


def outputs_and_states(cell, w, z, states, flags, start, training: bool):
    """The outputs [T, B, U] and the last states.

    z: an array for each gate, of all steps. flags: "mask" and "reset", [T, B] booleans, where there are any.
    start: the states that a reset goes back to.
    """
    mask, reset = flags.get("mask"), flags.get("reset")
    a, b = cell.with_flags(
        kops,
        *cell.coefficients(kops, w, z),
        valid=None if mask is None else mask[..., None],
        reset=None if reset is None else reset[..., None],
        start=None if reset is None else start[0],
    )
    s = LinearRecurrence(cell.times, cell.complex_state, training).solve(a, b, states[0])
    # A masked step repeats the output before it. Where a reset has changed the state meanwhile, that is not the state.
    if cell.emits_state and (mask is None or reset is None):
        return s, [s[-1]]
    y = cell.output(kops, w, z, s)
    return y if mask is None else held(y, mask), [s[-1]]


def held(y, mask):
    """y [T, B, U] with the output of the last valid step at each masked step."""
    valid_first, count = order_of(mask)
    latest = keras.ops.take_along_axis(valid_first, keras.ops.maximum(count - 1, 0), axis=0)
    return keras.ops.take_along_axis(y, latest[..., None], axis=0)


def order_of(mask):
    """The steps [T, B] in an order in which the valid ones come first, and how many are valid up to each step."""
    valid_first = keras.ops.argsort(keras.ops.cast(~mask, "int32"), axis=0)  # stable: in order of time
    return valid_first, keras.ops.cumsum(keras.ops.cast(mask, "int32"), axis=0)

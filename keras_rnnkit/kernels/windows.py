"""Convolutions: each output is a sum of products over the window of steps that it sees."""

from __future__ import annotations

import keras

from keras_rnnkit.kernels.call_flags import CallFlags
from keras_rnnkit.kernels.whole_sequence import order_of
from keras_rnnkit.ops import keras as kops


def refusal(cell, call: CallFlags) -> str | None:
    """Why the cell cannot be computed in this way, or None."""
    return "a window must not reach across a reset inside the sequence" if call.resets else None


def remark(call: CallFlags) -> str:
    """What a reader should know about this way of running a cell; an empty string for nothing."""
    return ""


def outputs_and_states(cell, w, z, states, flags, start, training: bool):
    """The outputs [T, B, U] and the last states; the arguments are those of `whole_sequence.outputs_and_states`."""
    (z,), reach, mask = z, cell.kernel_size - 1, flags.get("mask")
    past = kops.transpose(kops.unflatten(states[0], (reach, cell.units)), 1, 0, 2)
    if mask is None:
        y, steps = convolved(cell, w, past, z)
        return y, [as_state(steps[keras.ops.shape(z)[0] :])]
    valid_first, count = order_of(mask)
    y, steps = convolved(cell, w, past, kops.take_along_axis(z, valid_first[..., None], axis=0))
    y = kops.take_along_axis(y, kops.maximum(count - 1, 0)[..., None], axis=0)
    latest = count[-1:] + keras.ops.arange(reach, dtype="int32")[:, None]
    return y, [as_state(kops.take_along_axis(steps, latest[..., None], axis=0))]


def convolved(cell, w, past, x):
    """The outputs of the steps x [T, B, U] after the steps `past`, and both sequences as one."""
    steps, length = kops.concatenate([past, x], axis=0), keras.ops.shape(x)[0]
    return cell.weighted(w, [steps[k : k + length] for k in range(cell.kernel_size)]), steps


def as_state(steps):
    return kops.flatten(kops.transpose(steps, 1, 0, 2), 2)

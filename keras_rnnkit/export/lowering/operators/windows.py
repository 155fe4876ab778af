"""Windows: a convolution over the last few steps as one product for each of them, without a loop."""

from __future__ import annotations

import numpy as np

from keras_rnnkit.cells.convolution import ConvolutionCell
from keras_rnnkit.export.lowering.context import LoweringContext, Result, Wanted, reader
from keras_rnnkit.export.lowering.operators import scan
from keras_rnnkit.export.lowering.steps import CompactTimeSteps, TimeSteps
from keras_rnnkit.ops import onnx as ops
from keras_rnnkit.ops.onnx import Value

REASON = "a sum of products over the steps that an output sees, without a loop"
FAMILY = ConvolutionCell


def refusal(cell, context: LoweringContext) -> str | None:
    """Why the cell is not a sum over windows of steps, or None."""
    if not isinstance(cell, ConvolutionCell):
        return f"{type(cell).__name__} is no convolution"
    if context.resets:
        return "a window must not reach across a reset inside the sequence"
    if context.prefer == "scan":
        return "lowering='scan' was asked for"
    return scan.refusal(cell, context)


def lower(cell, steps: TimeSteps, states: list[Value | None], wanted: Wanted) -> Result:
    """The state in front of the steps, and a slice of both for each step that an output sees.

    Where steps are masked, the valid ones have been moved to the front, so they are neighbours.
    """
    w, (start,) = cell.weights_as(reader(steps.x.dtype)), scan.started(steps.x, cell.state_sizes, states)
    reach = cell.kernel_size - 1
    past = ops.transpose(ops.unflatten(start, (reach, cell.units)), 1, 0, 2)
    window = ops.concatenate([past, steps.x], axis=0)
    y = cell.weighted(w, [window[k : k - reach or None] for k in range(cell.kernel_size)])
    return Result(
        states=[end_of(window, steps, reach) if wanted.states[0] else None],
        y=y if wanted.sequence else None,
        last=last_valid(y, steps) if wanted.last else None,
    )


def last_valid(y: Value, steps: TimeSteps) -> Value:
    """The output of each row's last valid step."""
    return y[-1] if steps.lengths is None else steps.at_last_step(y)


def end_of(window: Value, steps: TimeSteps, reach: int) -> Value:
    """The last inputs of each row, as its state."""
    if isinstance(steps, CompactTimeSteps) and steps.order is not None:
        rows = ops.emit("Range", np.array(0), steps.order.batch, np.array(1), shape=(None,))
        latest = ops.expand_dims(np.arange(reach), 1) + ops.expand_dims(steps.order.lengths, 0)
        inputs = ops.take(ops.reshape(window, (-1, window.shape[-1])), latest * steps.order.batch + rows)
    else:
        inputs = ops.take(window, np.arange(-reach, 0))
    return ops.flatten(ops.transpose(inputs, 1, 0, 2), 2)

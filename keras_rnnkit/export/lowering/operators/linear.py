"""Linear: a Scan of one product and one sum, with all else of a linear cell computed around it for all steps."""

from __future__ import annotations

from typing import cast

from keras_rnnkit.cells.linear import LinearCell
from keras_rnnkit.export.lowering.context import LoweringContext, Result, Wanted, reader
from keras_rnnkit.export.lowering.operators import scan
from keras_rnnkit.export.lowering.steps import TimeSteps
from keras_rnnkit.export.writing.emitter import Emitter
from keras_rnnkit.export.writing.scan_loop import Loop
from keras_rnnkit.ops import onnx as ops
from keras_rnnkit.ops.onnx import Value

REASON = "gates and outputs of all steps at once, around a Scan of one product and one sum"
FAMILY = LinearCell


def refusal(cell, context: LoweringContext) -> str | None:
    """Why the cell is not one product and one sum a step, or None."""
    if not isinstance(cell, LinearCell):
        return f"{type(cell).__name__} is not linear in its state"
    if not cell.is_linear:
        return f"this {type(cell).__name__} has gates that read the state"
    if context.prefer == "scan":
        return "lowering='scan' was asked for"
    return scan.refusal(cell, context)


def lower(cell, steps: TimeSteps, states: list[Value | None], wanted: Wanted) -> Result:
    """The coefficients of all steps, the Scan, the outputs of all steps.

    Masked outputs that no state tells must go round the loop: such a layer is left to the general Scan, unless its
    valid steps were moved to the front, where the output of the last of them can be looked up.
    """
    if scan.carries_output(cell, steps) and steps.lengths is None:
        return scan.lower(cell, steps, states, wanted)
    w, (start,) = cell.weights_as(reader(steps.x.dtype)), scan.started(steps.x, cell.state_sizes, states)
    z = cell.split_gates(ops, cell.inputs(ops, w, steps.x, [start]))
    start_again = steps.starts[0] if steps.starts else None
    a, b = cell.with_flags(ops, *cell.coefficients(ops, w, z), steps.valid, steps.reset, start_again)
    loop = Loop(cast(Emitter, steps.x.graph))
    s = cell.times(ops, loop.each(a), loop.carry(start)) + loop.each(b)
    needs_all = wanted.sequence or (wanted.last and not cell.emits_state)
    (end,), stacks = loop.close([s], [s] if needs_all else [])
    y = cell.output(ops, w, z, stacks[0]) if needs_all else None
    return Result(
        states=[end], y=y if wanted.sequence else None, last=last(cell, steps, end, y) if wanted.last else None
    )


def last(cell, steps: TimeSteps, end: Value, y: Value | None) -> Value:
    """The output of each row's last valid step."""
    if cell.emits_state:
        return end
    assert y is not None
    return y[-1] if steps.lengths is None else steps.at_last_step(y)

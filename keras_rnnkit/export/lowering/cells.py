"""Writes one recurrence as ONNX nodes: its cells one after the other, over the same steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from keras_rnnkit.export.lowering import operators as lowering
from keras_rnnkit.export.lowering.context import Result, Wanted, zeros
from keras_rnnkit.export.lowering.recurrence import Recurrence
from keras_rnnkit.export.lowering.steps import Compaction, TimeSteps, time_steps
from keras_rnnkit.export.writing.emitter import Emitter
from keras_rnnkit.ops.onnx_values import Value


@dataclass(frozen=True)
class RecurrenceInputs:
    """The inputs of a recurrence as values. states and starts: a list for each cell; a state that is zero is None."""

    recurrence: Recurrence
    x: Value
    states: list[list[Value | None]]
    mask: Value | None
    reset: Value | None
    starts: list[list[Value]] | None

    @classmethod
    def of(cls, recurrence: Recurrence, names: list[str], graph: Emitter) -> RecurrenceInputs:
        """From the names of the placeholder's inputs, in the order that `Recurrence` defines."""
        remaining = iter(names)

        def value(*shape: int | None, dtype: Any = recurrence.dtype) -> Value:
            return Value(graph, next(remaining), shape, dtype)

        x = value(recurrence.batch, recurrence.length, recurrence.features)
        sizes = list(zip(recurrence.state_sizes, recurrence.zero_states, strict=True))
        states = [None if zero else value(recurrence.batch, n) for n, zero in sizes]
        mask = value(recurrence.batch, recurrence.length, dtype=np.bool_) if recurrence.masked else None
        reset = value(recurrence.batch, recurrence.length, dtype=np.bool_) if recurrence.resets else None
        starts = recurrence.by_cell([value(recurrence.batch, n) for n, _ in sizes]) if recurrence.resets else None
        return cls(recurrence, x, recurrence.by_cell(states), mask, reset, starts)


GUARDED = ("LSTM", "GRU", "RNN")
"""The lowerings that refuse an empty batch or sequence."""


class RecurrenceNodes(NamedTuple):
    """The lowering of each cell, the layer's outputs, and the last states; None where nothing reads them."""

    choices: list[lowering.Choice]
    y: Value | None
    states: list[Value | None]


def write(
    inputs: RecurrenceInputs,
    wanted: list[bool],
    orders: dict[Any, Compaction],
    prefer: str,
    batch: int | None,
    full: bool,
) -> RecurrenceNodes:
    """Emit the nodes.

    wanted: which of the outputs and last states are read. orders, full: see `time_steps` and `TimeSteps`.
    """
    recurrence = inputs.recurrence
    steps = time_steps(inputs.x, inputs.mask, inputs.reset, recurrence.go_backwards, orders)
    context = lowering.LoweringContext(
        recurrence.resets, recurrence.batch or batch, recurrence.features, recurrence.dtype, prefer
    )
    steps = replace(steps, rows=context.batch, integers=prefer == "int8", full=full or steps.full)
    choices, states, result = [], [], Result(None, None, [])
    for i, cell in enumerate(recurrence.cells):
        choice = lowering.choose(cell, context)
        wanted_here = wanted_of_cell(recurrence, i, wanted)
        cell_steps = replace(steps, starts=inputs.starts[i] if inputs.starts else None)
        result = choice.lowering.lower(cell, cell_steps, inputs.states[i], wanted_here)
        choices.append(choice)
        states += [
            zeros(steps.x, n) if flag and state is None else state
            for n, state, flag in zip(cell.state_sizes, result.states, wanted_here.states, strict=True)
        ]
        if result.y is not None:
            steps = replace(steps, x=result.y, full=steps.full or choice.name in GUARDED)
            context = replace(context, features=cell.output_size)
    return RecurrenceNodes(choices, layer_output(recurrence, steps, result), states)


def wanted_of_cell(recurrence: Recurrence, i: int, wanted: list[bool]) -> Wanted:
    """The results that are read of cell i: all steps where another cell or the layer's output needs them."""
    top = i == len(recurrence.cells) - 1
    return Wanted(
        sequence=not top or (wanted[0] and recurrence.return_sequences),
        last=top and wanted[0] and not recurrence.return_sequences,
        states=recurrence.by_cell(wanted[1:])[i],
    )


def layer_output(recurrence: Recurrence, steps: TimeSteps, result: Result) -> Value | None:
    """The outputs as the layer returns them, None if nothing reads them."""
    if result.y is not None:
        return steps.outputs(result.y, recurrence.zero_output_for_mask)
    return None if result.last is None else steps.last(result.last, recurrence.zero_output_for_mask)

"""One recurrence as nodes: its cells one after the other, over the same steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from keras_rnnkit.export.lowering import operators as lowering
from keras_rnnkit.export.lowering.context import Result, Wanted, zeros
from keras_rnnkit.export.lowering.recurrence import Site
from keras_rnnkit.export.lowering.steps import Compaction, Frame, frame
from keras_rnnkit.export.writing.emitter import Emitter
from keras_rnnkit.ops.onnx_values import Value


@dataclass(frozen=True)
class Arrays:
    """What reaches a site, as values. states and starts: a list for each cell; a state that is zero is None."""

    site: Site
    x: Value
    states: list[list[Value | None]]
    mask: Value | None
    reset: Value | None
    starts: list[list[Value]] | None

    @classmethod
    def of(cls, site: Site, names: list[str], graph: Emitter) -> Arrays:
        """From the names of the foreign node's inputs, in the order that `Site` says."""
        rest = iter(names)

        def value(*shape: int | None, dtype: Any = site.dtype) -> Value:
            return Value(graph, next(rest), shape, dtype)

        x = value(site.batch, site.length, site.features)
        sizes = list(zip(site.state_sizes, site.zero_states, strict=True))
        states = [None if zero else value(site.batch, n) for n, zero in sizes]
        mask = value(site.batch, site.length, dtype=np.bool_) if site.masked else None
        reset = value(site.batch, site.length, dtype=np.bool_) if site.resets else None
        starts = site.by_cell([value(site.batch, n) for n, _ in sizes]) if site.resets else None
        return cls(site, x, site.by_cell(states), mask, reset, starts)


GUARDED = ("LSTM", "GRU", "RNN")
"""The lowerings that refuse an empty batch or sequence."""


class Written(NamedTuple):
    """The lowering of each cell, the outputs as shown, and the last states; None where nobody reads it."""

    choices: list[lowering.Choice]
    y: Value | None
    states: list[Value | None]


def write(
    given: Arrays, wanted: list[bool], orders: dict[Any, Compaction], prefer: str, batch: int | None, full: bool
) -> Written:
    """Emit the nodes. wanted: which of the outputs and last states are read; orders, full: see `frame` and `Frame`."""
    site = given.site
    steps = frame(given.x, given.mask, given.reset, site.go_backwards, orders)
    situation = lowering.Situation(site.resets, site.batch or batch, site.features, site.dtype, prefer)
    steps = replace(steps, rows=situation.batch, integers=prefer == "int8", full=full or steps.full)
    choices, states, result = [], [], Result(None, None, [])
    for i, cell in enumerate(site.cells):
        choice = lowering.choose(cell, situation)
        asked = asked_of(site, i, wanted)
        own = replace(steps, starts=given.starts[i] if given.starts else None)
        result = choice.lowering.lower(cell, own, given.states[i], asked)
        choices.append(choice)
        states += [
            zeros(steps.x, n) if flag and state is None else state
            for n, state, flag in zip(cell.state_sizes, result.states, asked.states, strict=True)
        ]
        if result.y is not None:
            steps = replace(steps, x=result.y, full=steps.full or choice.name in GUARDED)
            situation = replace(situation, features=cell.output_size)
    return Written(choices, shown(site, steps, result), states)


def asked_of(site: Site, i: int, wanted: list[bool]) -> Wanted:
    """What is asked of cell i: all steps where another cell reads them or the layer shows them."""
    top = i == len(site.cells) - 1
    return Wanted(
        sequence=not top or (wanted[0] and site.return_sequences),
        last=top and wanted[0] and not site.return_sequences,
        states=site.by_cell(wanted[1:])[i],
    )


def shown(site: Site, steps: Frame, result: Result) -> Value | None:
    """The outputs as the layer shows them, None if nobody looks."""
    if result.y is not None:
        return steps.outputs(result.y, site.zero_output_for_mask)
    return None if result.last is None else steps.last(result.last, site.zero_output_for_mask)

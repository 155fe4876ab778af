"""Scan: the equation of any cell as the body of a loop; what does not depend on the state is computed before it."""

from __future__ import annotations

from typing import Any, cast

import keras
from keras import tree

from keras_rnnkit.export.lowering.context import LoweringContext, Result, Wanted, innermost, reader, zeros
from keras_rnnkit.export.lowering.operators.unpacked import unpack
from keras_rnnkit.export.lowering.steps import TimeSteps
from keras_rnnkit.export.writing.emitter import Emitter
from keras_rnnkit.export.writing.scan_loop import Loop
from keras_rnnkit.ops import activations
from keras_rnnkit.ops import onnx as ops
from keras_rnnkit.ops.onnx import Value

FAMILY = keras.layers.Layer


def refusal(cell, context: LoweringContext) -> str | None:
    """Why the cell's lines cannot be written as a graph, or None."""
    core = innermost(cell)
    unknown = unknown_activation(core)
    if unknown:
        return unknown
    graph = Emitter(opset=18)
    x = Value(graph, "x", (None, None, context.features), context.dtype)
    states: list[Value | None] = [Value(graph, "s", (None, n), context.dtype) for n in cell.state_sizes]
    try:
        lower(cell, TimeSteps(x), states, Wanted(sequence=True, last=True, states=[True] * len(states)))
    except Exception as error:  # a user's equation may do anything
        return f"{type(core).__name__} cannot be written as an ONNX graph: {type(error).__name__}: {error}"
    return None


def unknown_activation(cell) -> str | None:
    """Why an activation of the cell cannot be written, or None."""
    for function in (getattr(cell, "activation", None), getattr(cell, "recurrent_activation", None)):
        if function is not None and not has_equation(function):
            return (
                f"the activation {activations.name(function)!r} of {type(cell).__name__} has no equation outside Keras"
            )
    return None


def has_equation(function) -> bool:
    """Whether this is the function its name says: a user's may be called like one of Keras'."""
    name = activations.name(function)
    return name in activations.EQUATIONS and getattr(keras.activations, name, function) is function


def lower(cell, steps: TimeSteps, states: list[Value | None], wanted: Wanted) -> Result:
    """A Scan over the steps."""
    w, graph = cell.weights_as(reader(steps.x.dtype)), cast(Emitter, steps.x.graph)
    start = started(steps.x, cell.state_sizes, states)
    z = cell.inputs(ops, w, steps.x, start)
    fixed = unchanged(cell, w, graph, z, start) if steps.reset is None else []
    loop = Loop(graph)
    state = [s if i in fixed else loop.carry(s) for i, s in enumerate(start)]
    y, new = step(cell, w, loop, steps, z, state)
    carried = [s for i, s in enumerate(new) if i not in fixed]
    if carries_output(cell, steps):
        before = loop.carry(zeros(steps.x, cell.output_size))
        y = ops.where(loop.each(steps.valid), y, before)
        carried.append(y)
    unpack(loop, steps)
    ends, stacks = loop.close(carried, [y] if wanted.sequence or (wanted.last and not cell.emits_state) else [])
    last_states = iter(ends)
    return Result(
        states=[s if i in fixed else next(last_states) for i, s in enumerate(start)],
        y=stacks[0] if wanted.sequence else None,
        last=last_output(cell, steps, ends, stacks) if wanted.last else None,
    )


def started(x: Value, sizes: list[int], states: list[Value | None]) -> list[Value]:
    """The states before the first step, zeros where they were not given."""
    missing = {n for n, s in zip(sizes, states, strict=True) if s is None}
    zero_states = {n: zeros(x, n) for n in sorted(missing)}
    return [zero_states[n] if s is None else s for n, s in zip(sizes, states, strict=True)]


def last_output(cell, steps: TimeSteps, ends: list[Value], stacks: list[Value]) -> Value:
    """The output of each row's last valid step."""
    if carries_output(cell, steps):
        return ends[-1]
    return ends[0] if cell.emits_state else stacks[0][-1]


def carries_output(cell, steps: TimeSteps) -> bool:
    """Whether the output goes round the loop too: where a masked step repeats it and no state tells it."""
    return steps.valid is not None and (not cell.emits_state or steps.reset is not None)


def step(cell, w, loop: Loop, steps: TimeSteps, z, state: list[Value]) -> tuple[Value, list[Value]]:
    """One step inside the loop's body: the cell's lines, with its resets before and its mask after them."""
    if steps.reset is not None:
        reset, starts = loop.each(steps.reset), steps.starts or []
        state = [ops.where(reset, s0, s) for s0, s in zip(starts, state, strict=True)]
    y, new = advance(cell, w, tree.map_structure(loop.each, z), state)
    if steps.valid is None:
        return y, new
    valid = loop.each(steps.valid)
    held = [n if n is s else ops.where(valid, n, s) for n, s in zip(new, state, strict=True)]
    return (held[0] if cell.emits_state and steps.reset is None else y), held


def advance(cell, w, z, state: list[Value]) -> tuple[Any, list[Any]]:
    r = cell.recur(ops, w, state[0])
    y, new = cell.gates(ops, w, z, r, list(state))
    return y, list(new)


def unchanged(cell, w, graph: Emitter, z, state: list[Value]) -> list[int]:
    """The states that the cell hands on as they are, such as a condition: they need not go round the loop."""
    loop = Loop(graph)
    inner = [loop.carry(s) for s in state]
    _, new = advance(cell, w, tree.map_structure(loop.each, z), inner)
    return [i for i, (n, s) in enumerate(zip(new, inner, strict=True)) if n is s]

"""A model's ONNX graph, before it is a file: traced, lowered, finished."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
import tf2onnx
from onnx import ModelProto

from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.lowering.placeholders import Lowered, lower
from keras_rnnkit.export.lowering.recurrence import Recurrence
from keras_rnnkit.export.reading.model_calls import ModelCall, State, input_names, named_outputs, state_names
from keras_rnnkit.export.reading.names import layer_at, layer_paths
from keras_rnnkit.export.tracing.placeholders import TracedLoop, Tracing
from keras_rnnkit.export.tracing.tensorflow_graph import large_weights, to_onnx
from keras_rnnkit.export.writing import finish
from keras_rnnkit.layers.traversal import recurrent_layers

OPSETS = range(13, max(tf2onnx.constants.OPSET_TO_IR_VERSION) + 1)


@dataclass
class Trace:
    """A traced model: a graph in which each recurrence is one placeholder node, and what the nodes stand for.

    outputs: their names; shapes: theirs, None where free; left: recurrences that stay as TensorFlow traced them.
    """

    model: ModelProto
    model_call: ModelCall
    recurrences: list[Recurrence]
    left: list[TracedLoop]
    outputs: list[str]
    shapes: list[tuple[int | None, ...]]
    opset: int
    notes: list[str] = field(default_factory=list)


@dataclass
class Graph:
    """A finished graph, and how it came about.

    states: (input, output) names of each carried state, in the order of `model_call.states`. settings: with which it
    can be made once more, from its model_call; retrace: whether it can. facts: what a token loop around it needs.
    """

    model: ModelProto
    model_call: ModelCall
    recurrences: list[Recurrence]
    lowered: list[Lowered]
    left: list[TracedLoop]
    states: list[tuple[str, str]]
    settings: dict[str, Any]
    retrace: bool = True
    facts: dict[str, Any] = field(default_factory=dict)


def traced(model_call: ModelCall, opset: int, prefer: str = "auto") -> Trace:
    """A graph from inputs and states to outputs and the next states, with a placeholder for each recurrence."""
    tracing, outputs = Tracing(dict(recurrent_layers(model_call.model)), prefer), Outputs(model_call)
    count = len(model_call.signature.inputs)

    def flat(*arrays):
        values, states = model_call.run(list(arrays[:count]), list(arrays[count:]), tracing)
        return {finish.output_name(i): tf.identity(value) for i, value in enumerate(outputs.collect(values, states))}

    specs = [tf.TensorSpec(*kind, finish.input_name(i)) for i, kind in enumerate(kinds_of(model_call))]
    proto = to_onnx(flat, specs, opset, large_weights(model_call.model))
    return Trace(proto, model_call, tracing.recurrences, tracing.left, outputs.names, outputs.shapes, opset)


def kinds_of(model_call: ModelCall) -> list[tuple[tuple[int | None, ...], str]]:
    """(shape, dtype) of each input and state."""
    kinds = [(spec.shape, spec.dtype) for spec in model_call.signature.inputs]
    return kinds + [(state.shape, state.dtype) for state in model_call.states]


def lowered(trace: Trace, prefer: str = "auto", batch: int | None = None, keep: bool = False) -> Graph:
    """The graph with operators of ONNX in place of the placeholders.

    keep: lower a copy, so that the trace can be lowered once more, in another way.
    """
    model = trace.model
    if keep:
        model = ModelProto()
        model.CopyFrom(trace.model)
    rows = lower(model, trace.recurrences, prefer, batch)
    settings = {"opset": trace.opset, "prefer": prefer, "batch": batch}
    states = state_names(trace.model_call)
    return Graph(model, trace.model_call, trace.recurrences, rows, trace.left, states, settings)


def finished(graph: Graph, trace: Trace, runs: list[finish.Shapes] | None = None) -> Graph:
    """The graph with its names, axes and facts about itself, valid.

    runs: the shapes of inputs and outputs at several sizes, after which the free axes of outputs are named.
    """
    model_call = graph.model_call
    finish.finish(
        graph.model,
        inputs=input_names(model_call),
        outputs=trace.outputs,
        shapes=[shape for shape, _ in kinds_of(model_call)],
        output_shapes=trace.shapes,
        lowered=graph.lowered,
        axis_name=getattr(model_call, "axis_name", None),
        runs=runs or [],
        layer_of=partial(layer_at, paths=layer_paths(model_call.model).values()),
    )
    facts = getattr(model_call, "facts", None) or described(model_call.states, graph.states)
    finish.describe(graph.model, mode=model_call.mode, states=facts)
    return graph


def graph_of(model_call: ModelCall, *, opset: int, prefer: str = "auto", batch: int | None = None) -> Graph:
    """The graph of a model_call, all at once."""
    trace = traced(model_call, opset, prefer)
    return finished(lowered(trace, prefer, batch), trace)


def described(states: list[State], names: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """What a runner must know of each state: its pair of names, shape of one row, and the value a row starts with.

    A row starts anew when its states are put back to their start; a start that is one number stands for all.
    """
    return [
        {
            "input": before,
            "output": after,
            "layer": state.layer,
            "shape": list(state.shape[1:]),
            "dtype": state.dtype,
            "start": state.start.tolist() if np.any(state.start) else 0,
        }
        for state, (before, after) in zip(states, names, strict=True)
    ]


class Outputs:
    """The names and shapes of what a model_call returns, collected while it is traced."""

    def __init__(self, model_call: ModelCall):
        self.model_call = model_call
        self.names: list[str] = []
        self.shapes: list[tuple[int | None, ...]] = []

    def collect(self, values, states) -> list[tf.Tensor]:
        states = [tf.ensure_shape(s, state.shape) for s, state in zip(states, self.model_call.states, strict=True)]
        outputs = named_outputs(self.model_call, values, states)
        flat = [tf.convert_to_tensor(value) for value in outputs.values()]
        self.names, self.shapes = list(outputs), [tuple(value.shape) for value in flat]
        return flat


def check_opset(opset: int) -> None:
    if opset not in OPSETS:
        raise ExportError(
            f"Received: opset={opset!r}. Expected {OPSETS[0]} to {OPSETS[-1]}, which tf2onnx {tf2onnx.__version__} "
            "writes; every onnxruntime since 1.14 reads them."
        )

"""A model's ONNX graph, before it is a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
import tf2onnx
from onnx import ModelProto

from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.lowering.placeholders import Lowered, lower
from keras_rnnkit.export.reading.model_calls import ModelCall, State, input_names, named_outputs, state_names
from keras_rnnkit.export.tracing.placeholders import Left, Tracing
from keras_rnnkit.export.tracing.tensorflow_graph import large_weights, to_onnx
from keras_rnnkit.export.writing import finish
from keras_rnnkit.layers.traversal import recurrent_layers

OPSETS = range(13, max(tf2onnx.constants.OPSET_TO_IR_VERSION) + 1)


@dataclass
class Graph:
    """The graph, and how it came about. names: the path of each recurrent layer in the model, by its id.

    states: (input, output) names of each carried state, in the order of `model_call.states`. settings: of `graph_of`.
    """

    model: ModelProto
    model_call: ModelCall
    names: dict[int, str]
    lowered: list[Lowered]
    left: list[Left]
    states: list[tuple[str, str]]
    settings: dict[str, Any]


def graph_of(model_call: ModelCall, *, opset: int, prefer: str = "auto", batch: int | None = None) -> Graph:
    """The graph of a model_call: from inputs and states to outputs and the next states."""
    tracing, outputs = Tracing(dict(recurrent_layers(model_call.model)), prefer), Outputs(model_call)
    count = len(model_call.signature.inputs)

    def flat(*arrays):
        values, states = model_call.run(list(arrays[:count]), list(arrays[count:]), tracing)
        return {finish.output_name(i): tf.identity(value) for i, value in enumerate(outputs.collect(values, states))}

    kinds = [(given.shape, given.dtype) for given in model_call.signature.inputs]
    kinds += [(state.shape, state.dtype) for state in model_call.states]
    specs = [tf.TensorSpec(shape, dtype, finish.input_name(i)) for i, (shape, dtype) in enumerate(kinds)]
    proto = to_onnx(flat, specs, opset, large_weights(model_call.model))
    lowered = lower(proto, tracing.recurrences, prefer, batch)
    states = state_names(model_call)
    finish.finish(
        proto,
        inputs=input_names(model_call),
        outputs=outputs.names,
        shapes=[shape for shape, _ in kinds],
        output_shapes=outputs.shapes,
        lowered=lowered,
    )
    finish.describe(proto, mode=model_call.mode, states=described(model_call.states, states))
    settings = {"opset": opset, "prefer": prefer, "batch": batch}
    return Graph(proto, model_call, tracing.names, lowered, tracing.left, states, settings)


def described(states: list[State], names: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """What a runner must know of each state: its pair of names, shape of one row, and the value a row starts with.

    A row starts anew when its states are put back to their start; a start that is one number stands for all.
    """
    return [
        {
            "input": given,
            "output": after,
            "layer": state.layer,
            "shape": list(state.shape[1:]),
            "dtype": state.dtype,
            "start": state.start.tolist() if np.any(state.start) else 0,
        }
        for state, (given, after) in zip(states, names, strict=True)
    ]


class Outputs:
    """What a model_call returns, as met while it was traced: the names, and the shapes."""

    def __init__(self, model_call: ModelCall):
        self.model_call = model_call
        self.names: list[str] = []
        self.shapes: list[tuple[int | None, ...]] = []

    def collect(self, values, states) -> list[tf.Tensor]:
        states = [tf.ensure_shape(s, known.shape) for s, known in zip(states, self.model_call.states, strict=True)]
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

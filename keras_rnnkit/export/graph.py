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
from keras_rnnkit.export.reading.call_signatures import Form, State, input_names, named_outputs, state_names
from keras_rnnkit.export.tracing.placeholders import Left, Tracing
from keras_rnnkit.export.tracing.tensorflow_graph import to_onnx
from keras_rnnkit.export.writing import finish
from keras_rnnkit.layers.traversal import recurrent_layers

OPSETS = range(13, max(tf2onnx.constants.OPSET_TO_IR_VERSION) + 1)


@dataclass
class Graph:
    """The graph, and how it came about. names: the path of each recurrent layer in the model, by its id.

    states: (input, output) names of each carried state, in the order of `form.states`. settings: of `graph_of`.
    """

    model: ModelProto
    form: Form
    names: dict[int, str]
    lowered: list[Lowered]
    left: list[Left]
    states: list[tuple[str, str]]
    settings: dict[str, Any]


def graph_of(form: Form, *, opset: int, prefer: str = "auto", batch: int | None = None) -> Graph:
    """The graph of a form: from inputs and states to outputs and the next states."""
    tracing, outputs = Tracing(dict(recurrent_layers(form.model)), prefer), Outputs(form)
    count = len(form.signature.inputs)

    def flat(*arrays):
        values, states = form.run(list(arrays[:count]), list(arrays[count:]), tracing)
        return {finish.output_name(i): tf.identity(value) for i, value in enumerate(outputs.met(values, states))}

    kinds = [(given.shape, given.dtype) for given in form.signature.inputs]
    kinds += [(state.shape, state.dtype) for state in form.states]
    specs = [tf.TensorSpec(shape, dtype, finish.input_name(i)) for i, (shape, dtype) in enumerate(kinds)]
    proto = to_onnx(flat, specs, opset)
    lowered = lower(proto, tracing.sites, prefer, batch)
    states = state_names(form)
    finish.finish(
        proto,
        inputs=input_names(form),
        outputs=outputs.names,
        shapes=[shape for shape, _ in kinds],
        output_shapes=outputs.shapes,
        lowered=lowered,
    )
    finish.describe(proto, mode=form.mode, states=described(form.states, states))
    settings = {"opset": opset, "prefer": prefer, "batch": batch}
    return Graph(proto, form, tracing.names, lowered, tracing.left, states, settings)


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
    """What a form returns, as met while it was traced: the names, and the shapes."""

    def __init__(self, form: Form):
        self.form = form
        self.names: list[str] = []
        self.shapes: list[tuple[int | None, ...]] = []

    def met(self, values, states) -> list[tf.Tensor]:
        states = [tf.ensure_shape(s, known.shape) for s, known in zip(states, self.form.states, strict=True)]
        outputs = named_outputs(self.form, values, states)
        flat = [tf.convert_to_tensor(value) for value in outputs.values()]
        self.names, self.shapes = list(outputs), [tuple(value.shape) for value in flat]
        return flat


def check_opset(opset: int) -> None:
    if opset not in OPSETS:
        raise ExportError(
            f"Received: opset={opset!r}. Expected {OPSETS[0]} to {OPSETS[-1]}, which tf2onnx {tf2onnx.__version__} "
            "writes; every onnxruntime since 1.14 reads them."
        )

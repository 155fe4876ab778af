"""A model's ONNX graph, before it is a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tensorflow as tf
import tf2onnx
from keras import tree
from onnx import ModelProto

from keras_rnnkit.explanation import recurrent_layers
from keras_rnnkit.export import finish
from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.lower import Lowered, lower
from keras_rnnkit.export.meetings import patched
from keras_rnnkit.export.signature import Signature, output_names
from keras_rnnkit.export.tensorflow_graph import run_model, to_onnx
from keras_rnnkit.export.trace import Left, Tracing

OPSETS = range(13, max(tf2onnx.constants.OPSET_TO_IR_VERSION) + 1)


@dataclass
class Graph:
    """The graph, and how it came about. names: the path of each recurrent layer in the model, by its id.

    states: (input, output) names of each carried state.
    """

    model: ModelProto
    signature: Signature
    names: dict[int, str]
    lowered: list[Lowered]
    left: list[Left]
    states: list[tuple[str, str]]


def whole_sequence(model, signature: Signature, *, opset: int, prefer: str = "auto", batch: int | None = None) -> Graph:
    """The graph that maps whole sequences to outputs, and carried states to the next ones."""
    tracing, outputs = Tracing(dict(recurrent_layers(model)), prefer), Outputs()

    def flat(*arrays):
        count = len(signature.inputs)
        values, states = run_model(model, signature, list(arrays[:count]), list(arrays[count:]))
        named = outputs.met(values, states)
        return {finish.output_name(i): tf.identity(value) for i, value in enumerate(named)}

    specs = [tf.TensorSpec(spec.shape, spec.dtype) for spec in signature.inputs]
    specs += [tf.TensorSpec(variable.shape, variable.dtype) for variable in signature.states]
    specs = [tf.TensorSpec(spec.shape, spec.dtype, finish.input_name(i)) for i, spec in enumerate(specs)]
    with patched(tracing):
        proto = to_onnx(flat, specs, opset)
    lowered = lower(proto, tracing.sites, prefer, batch)
    inputs = [spec.name for spec in signature.inputs]
    states = [(f"state_{i}", f"next_state_{i}") for i, _ in enumerate(signature.states)]
    taken = {*inputs, *(name for pair in states for name in pair)}
    finish.finish(
        proto,
        inputs=[*inputs, *(given for given, _ in states)],
        outputs=[*output_names(model, outputs.structure, taken), *(after for _, after in states)],
        shapes=[tuple(spec.shape) for spec in specs],
        output_shapes=outputs.shapes,
        lowered=lowered,
    )
    finish.describe(proto, mode="sequence", states=states)
    return Graph(proto, signature, tracing.names, lowered, tracing.left, states)


class Outputs:
    """What a model returns, as met while it was traced: the structure, and the shapes with the states behind."""

    structure: Any = None
    shapes: list[tuple[int | None, ...]] = []

    def met(self, values, states) -> list[tf.Tensor]:
        flat = [tf.convert_to_tensor(value) for value in [*tree.flatten(values), *states]]
        self.structure = tree.map_structure(lambda _: 0, values)
        self.shapes = [tuple(value.shape) for value in flat]
        return flat


def check_opset(opset: int) -> None:
    if opset not in OPSETS:
        raise ExportError(
            f"Received: opset={opset!r}. Expected {OPSETS[0]} to {OPSETS[-1]}, which tf2onnx {tf2onnx.__version__} "
            "writes; every onnxruntime since 1.14 reads them."
        )

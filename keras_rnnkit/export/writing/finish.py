"""The last touches on a graph: names, axes, what it must refuse, and whether it is valid."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, helper

from keras_rnnkit import __version__
from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.lowering.placeholders import Lowered
from keras_rnnkit.export.writing.emitter import replace_names, subgraphs
from keras_rnnkit.export.writing.renaming import give_way


def input_name(i: int) -> str:
    """What an input is called between tracing and here; in sorted order, as tf.function returns dicts."""
    return f"rnnkit_input_{i:04d}"


def output_name(i: int) -> str:
    return f"rnnkit_output_{i:04d}"


def finish(
    model: ModelProto,
    inputs: list[str],
    outputs: list[str],
    shapes: list[tuple],
    output_shapes: list[tuple],
    lowered: list[Lowered],
) -> None:
    """Name inputs, outputs and axes in place, and check."""
    rename(model.graph, inputs, outputs, lowered)
    name_axes(model.graph, inputs, shapes, output_shapes)
    forget_unused_domains(model)
    model.producer_name, model.producer_version = "keras-rnnkit", __version__
    model.doc_string = ""
    check(model)


def forget_unused_domains(model: ModelProto) -> None:
    used = {node.domain for node in every_node(model.graph)} | {""}
    for entry in [entry for entry in model.opset_import if entry.domain not in used]:
        model.opset_import.remove(entry)


def describe(model: ModelProto, **facts) -> None:
    """Write facts about the graph into the file itself, as JSON under names of ours."""
    known = {entry.key: entry.value for entry in model.metadata_props}
    known |= {f"keras_rnnkit.{key}": json.dumps(value) for key, value in facts.items()}
    helper.set_model_props(model, known)


def rename(graph: GraphProto, inputs: list[str], outputs: list[str], lowered: list[Lowered]) -> None:
    placeholders = [*map(input_name, range(len(inputs))), *map(output_name, range(len(outputs)))]
    inside = give_way(graph, {*inputs, *outputs}.difference(placeholders))
    for row in lowered:
        for tensors in (row.inputs, row.outputs):
            tensors[:] = [inside.get(name, name) for name in tensors]
    names = {input_name(i): name for i, name in enumerate(inputs)} | {
        output_name(i): name for i, name in enumerate(outputs)
    }
    replace_everywhere(graph, lowered, names)
    for values in (graph.input, graph.output):
        for value in values:
            value.name = names.get(value.name, value.name)
        in_order = sorted(values, key=lambda value: [*inputs, *outputs].index(value.name))
        copies = [type(value).FromString(value.SerializeToString()) for value in in_order]
        del values[:]
        values.extend(copies)
    graph.name = "keras_rnnkit"


def replace_everywhere(graph: GraphProto, lowered: list[Lowered], names: dict[str, str]) -> None:
    for node in graph.node:
        replace_names(node, names)
    for row in lowered:
        for known in (row.inputs, row.outputs):
            known[:] = [names.get(name, name) for name in known]


def name_axes(graph: GraphProto, inputs: list[str], shapes: list[tuple], output_shapes: list[tuple]) -> None:
    """Free axes of inputs: batch, time, and where several inputs have steps of their own, one name for each.

    onnxruntime takes axes of one name to be equally long when it plans its memory.
    """
    steps = [name for name, shape in zip(inputs, shapes, strict=True) if len(shape) > 1 and shape[1] is None]
    for value, shape in zip(graph.input, shapes, strict=True):
        own = {0: "batch", 1: "time" if len(steps) == 1 else f"{value.name}_time"}
        dims = [own.get(axis, f"{value.name}_axis_{axis}") if n is None else n for axis, n in enumerate(shape)]
        set_dims(value, dims)
    for value, shape in zip(graph.output, output_shapes, strict=True):
        set_dims(value, [f"{value.name}_axis_{axis}" if n is None else n for axis, n in enumerate(shape)])


def set_dims(value, dims: Sequence[str | int]) -> None:
    kind = value.type.tensor_type.elem_type
    value.CopyFrom(helper.make_tensor_value_info(value.name, kind, list(dims)))


def axes(value) -> list[str | int]:
    return [d.dim_value if d.HasField("dim_value") else d.dim_param for d in value.type.tensor_type.shape.dim]


def name_output_axes(model: ModelProto, runs: list[tuple[list[np.ndarray], list[np.ndarray]]]) -> None:
    """Give an output's free axes the names of the input axes that were as long in every run (inputs, outputs)."""
    free = [
        (i, j, name)
        for i, value in enumerate(model.graph.input)
        for j, name in enumerate(axes(value))
        if isinstance(name, str)
    ]
    for k, value in enumerate(model.graph.output):
        dims = axes(value)
        for j, name in enumerate(dims):
            if isinstance(name, str):
                same = (n for i, a, n in free if all(x[i].shape[a] == y[k].shape[j] for x, y in runs))
                dims[j] = next(same, name)
        set_dims(value, dims)


def check(model: ModelProto) -> None:
    """onnx's own checks; before them a sentence for what tf2onnx could not translate."""
    foreign = sorted(
        {f"{node.domain}:{node.op_type}".lstrip(":") for node in every_node(model.graph) if not known(node, model)}
    )
    if foreign:
        raise ExportError(
            f"tf2onnx has no ONNX form for {', '.join(foreign)}, which a layer of the model uses. Move that layer out "
            "of the model (text and other preprocessing in front of it), or write it with other operations."
        )
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"The graph is not valid ONNX: {error}") from error


def every_node(graph: GraphProto):
    for node in graph.node:
        yield node
        for inner in subgraphs(node):
            yield from every_node(inner)


QUANTIZED = {"DynamicQuantizeLSTM", "DynamicQuantizeMatMul", "MatMulIntegerToFloat"}
"""What onnxruntime's quantisation writes besides standard operators, of its own domain."""


def known(node, model: ModelProto) -> bool:
    if node.domain == "com.microsoft" and node.op_type in QUANTIZED:
        return True
    versions = {o.domain: o.version for o in model.opset_import}
    return onnx.defs.has(node.op_type, versions.get(node.domain, 0), node.domain)

"""The last touches on a graph: names, axes, what it must refuse, and whether it is valid."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import onnx
from onnx import GraphProto, ModelProto, helper

from keras_rnnkit import __version__
from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.lowering.placeholders import Lowered
from keras_rnnkit.export.writing.emitter import replace_names, subgraphs
from keras_rnnkit.export.writing.renaming import give_way

Shapes = tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]
"""The shapes of a run's inputs and outputs, by name."""
LayerOf = Callable[[str], str | None]
"""name of a node -> path of the layer that wrote it, None if it was no layer"""
AxisName = Callable[[str, int], str]
"""(name of an input or output, number of one of its free axes) -> name of the axis."""


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
    axis_name: AxisName | None = None,
    runs: Sequence[Shapes] = (),
    layer_of: LayerOf | None = None,
) -> None:
    """Name inputs, outputs and axes in place, and check.

    runs: shapes at several sizes; an axis of an output that is as long as one of an input in all of them is called
    like it. axis_name: names all free axes instead. layer_of: the layer that wrote a node, from the node's name.
    """
    rename(model.graph, inputs, outputs, lowered)
    name_axes(model.graph, inputs, shapes, output_shapes)
    if axis_name is not None:
        name_all_axes(model.graph, axis_name)
    elif runs:
        name_output_axes(model.graph, runs)
    forget_unused_domains(model)
    model.producer_name, model.producer_version = "keras-rnnkit", __version__
    model.doc_string = ""
    check(model, layer_of)


def forget_unused_domains(model: ModelProto) -> None:
    used = {node.domain for node in every_node(model.graph)} | {""}
    for entry in [entry for entry in model.opset_import if entry.domain not in used]:
        model.opset_import.remove(entry)


def describe(model: ModelProto, **facts) -> None:
    """Write facts about the graph into the file itself, as JSON under names of ours."""
    properties = {entry.key: entry.value for entry in model.metadata_props}
    properties |= {f"keras_rnnkit.{key}": json.dumps(value) for key, value in facts.items()}
    helper.set_model_props(model, properties)


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
        for tensors in (row.inputs, row.outputs):
            tensors[:] = [names.get(name, name) for name in tensors]


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


def name_all_axes(graph: GraphProto, axis_name: AxisName) -> None:
    for value in (*graph.input, *graph.output):
        set_dims(value, [axis_name(value.name, i) if isinstance(n, str) else n for i, n in enumerate(axes(value))])


def name_output_axes(graph: GraphProto, runs: Sequence[Shapes]) -> None:
    """Give an output's free axes the names of the input axes that were as long in every run."""
    free = [(v.name, j, name) for v in graph.input for j, name in enumerate(axes(v)) if isinstance(name, str)]
    for value in graph.output:
        dims = axes(value)
        for j, own in enumerate(dims):
            if isinstance(own, str):
                same = (name for i, axis, name in free if always_equal(runs, (i, axis), (value.name, j)))
                dims[j] = next(same, own)
        set_dims(value, dims)


def always_equal(runs: Sequence[Shapes], read: tuple[str, int], written: tuple[str, int]) -> bool:
    """Whether an axis of an input and one of an output have the same length in every run, and are in one at all."""
    (source, i), (target, j) = read, written
    lengths = [(x[source][i], y[target][j]) for x, y in runs if source in x and len(y.get(target, ())) > j]
    return bool(lengths) and all(a == b for a, b in lengths)


def check(model: ModelProto, layer_of: LayerOf | None = None) -> None:
    """onnx's own checks; before them a sentence for what tf2onnx could not translate."""
    foreign = [node for node in every_node(model.graph) if not is_standard(node, model)]
    if foreign:
        operations = sorted({f"{node.domain}:{node.op_type}".lstrip(":") for node in foreign})
        layers = sorted({layer for node in foreign if layer_of and (layer := layer_of(node.name))})
        users = ", ".join(f"the layer {layer!r}" for layer in layers) or "a layer of the model"
        raise ExportError(
            f"tf2onnx has no ONNX form for {', '.join(operations)}, which {users} uses. Move that layer out of the "
            "model (text and other preprocessing in front of it), or write it with other operations."
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


def is_standard(node, model: ModelProto) -> bool:
    if node.domain == "com.microsoft" and node.op_type in QUANTIZED:
        return True
    versions = {o.domain: o.version for o in model.opset_import}
    return onnx.defs.has(node.op_type, versions.get(node.domain, 0), node.domain)

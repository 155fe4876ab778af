"""A finished graph as a part of another one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from onnx import ModelProto, NodeProto, helper

from keras_rnnkit.export.writing.emitter import Emitter, replace_names, subgraphs
from keras_rnnkit.export.writing.finish import axes
from keras_rnnkit.ops.onnx import Value


class Inlined:
    """Writes the nodes of a graph into others, as often as it is called; its constants are written once.

    name: goes before those of its nodes and constants.
    """

    def __init__(self, model: ModelProto, root: Emitter, name: str = "step"):
        self.graph, self.name = model.graph, name
        self.constants = {initializer.name: f"{name}/{initializer.name}" for initializer in model.graph.initializer}
        for initializer in model.graph.initializer:
            copy = type(initializer).FromString(initializer.SerializeToString())
            copy.name = self.constants[initializer.name]
            root.initializers[copy.name] = copy
        self.calls = 0

    def call(self, graph: Emitter, feeds: dict[str, Value]) -> dict[str, Value]:
        """The outputs by name, from the inputs by name."""
        prefix, self.calls = f"{self.name}_{self.calls}", self.calls + 1
        inner_names = {name for node in self.graph.node for name in names_written(node)}
        names = {name: f"{prefix}/{name}" for name in inner_names} | self.constants
        names |= {name: value.name for name, value in feeds.items()}
        for node in self.graph.node:
            copy = type(node).FromString(node.SerializeToString())
            replace_names(copy, names)
            copy.name = f"{prefix}/{node.name}" if node.name else ""
            graph.nodes.append(copy)
        return {value.name: output_value(graph, names[value.name], value) for value in self.graph.output}


def output_value(graph: Emitter, name: str, value: Any) -> Value:
    shape = [n if isinstance(n, int) else None for n in axes(value)]
    return Value(graph, name, shape, helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))


def names_written(node: NodeProto) -> Iterator[str]:
    """The names that a node, and the graphs inside it, write."""
    yield from (name for name in node.output if name)
    for graph in subgraphs(node):
        yield from (value.name for value in (*graph.input, *graph.initializer))
        for inner in graph.node:
            yield from names_written(inner)

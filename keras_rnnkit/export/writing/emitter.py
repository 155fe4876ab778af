"""Writes the nodes of an ONNX graph, and of the graphs inside it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from onnx import AttributeProto, NodeProto, TensorProto, helper, numpy_helper


class Emitter:
    """A list of nodes with fresh names, and constants written once however often they are used.

    Constants go to the outermost graph, whose names the inner ones see.

    >>> graph = Emitter(opset=18, prefix="gru")
    >>> graph.node("Add", ["x", graph.constant(np.float32(1))])
    ['gru/Add_0']
    >>> list(graph.initializers)
    ['constant_0']
    """

    def __init__(self, opset: int, prefix: str = "", parent: Emitter | None = None):
        self.opset = opset
        self.prefix = prefix
        self.parent = parent
        self.depth: int = parent.depth + 1 if parent else 0
        self.nodes: list[NodeProto] = []
        self.renamed: dict[str, str] = {}
        self.initializers: dict[str, TensorProto] = parent.initializers if parent else {}
        self._known: dict[Any, str] = parent._known if parent else {}
        self._counts: dict[str, int] = parent._counts if parent else {}

    def inner(self) -> Emitter:
        """The emitter of a graph inside this one."""
        return Emitter(self.opset, self.prefix, parent=self)

    def name(self, stem: str) -> str:
        stem = f"{self.prefix}/{stem}" if self.prefix else stem
        number = self._counts.get(stem, 0)
        self._counts[stem] = number + 1
        return f"{stem}_{number}"

    def node(self, op_type: str, inputs: Sequence[str], outputs: Iterable[bool] = (True,), **attributes) -> list[str]:
        """The names of its outputs, empty for those not wanted."""
        name = self.name(op_type)
        wanted = list(outputs)
        names = [(name if i == 0 else f"{name}:{i}") if flag else "" for i, flag in enumerate(wanted)]
        attributes = {key: self._attribute(value) for key, value in attributes.items() if value is not None}
        self.nodes.append(helper.make_node(op_type, list(inputs), names, name=name, **attributes))
        return names

    def _attribute(self, value):
        if isinstance(value, np.ndarray):
            return numpy_helper.from_array(value)
        if isinstance(value, type | np.dtype):
            return helper.np_dtype_to_tensor_dtype(np.dtype(value))
        return value

    def constant(self, array) -> str:
        array = np.ascontiguousarray(array) if np.ndim(array) else np.asarray(array)
        key = (array.dtype.str, array.shape, hashlib.blake2b(array.tobytes(), digest_size=16).digest())
        if key not in self._known:
            name = f"constant_{len(self._known)}"
            self.initializers[name] = numpy_helper.from_array(array, name)
            self._known[key] = name
        return self._known[key]

    def rename(self, old: str, new: str) -> bool:
        """Give an output of a node of this graph another name, wherever it is read; False if there is none."""
        if not any(old in node.output for node in self.nodes):
            return False
        for node in self.nodes:
            replace_names(node, {old: new})
        self.renamed[old] = new
        return True


def replace_names(node: NodeProto, names: dict[str, str]) -> None:
    """Rename what a node, and the graphs inside it, read and write."""
    node.input[:] = [names.get(name, name) for name in node.input]
    node.output[:] = [names.get(name, name) for name in node.output]
    for graph in subgraphs(node):
        for inner in graph.node:
            replace_names(inner, names)
        for value in (*graph.input, *graph.output, *graph.initializer):
            value.name = names.get(value.name, value.name)


def subgraphs(node: NodeProto) -> list[Any]:
    """The graphs inside a node: a loop's body, a condition's branches."""
    single = [a.g for a in node.attribute if a.type == AttributeProto.GRAPH]
    return single + [g for a in node.attribute if a.type == AttributeProto.GRAPHS for g in a.graphs]


def names_read(nodes: Iterable[NodeProto]) -> set[str]:
    """Every name that the nodes, and the graphs inside them, read."""
    read: set[str] = set()
    for node in nodes:
        read.update(node.input)
        for graph in subgraphs(node):
            read |= names_read(graph.node) | {value.name for value in graph.output}
    return read

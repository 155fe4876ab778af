"""Looking at the nodes of a graph: who writes a name, who reads it."""

from __future__ import annotations

from collections import Counter

import numpy as np
from onnx import NodeProto, TensorProto, numpy_helper

from keras_rnnkit.export.writing.emitter import names_read


class Nodes:
    """The nodes of one graph, its constants, the names that are read from outside it, and the shapes of its inputs."""

    def __init__(
        self,
        nodes: list[NodeProto],
        initializers: dict[str, TensorProto],
        results: set[str],
        shapes: dict[str, tuple[int | None, ...]],
    ):
        self.shapes = shapes
        self.nodes = nodes
        self.initializers = initializers
        self.writer = {name: node for node in nodes for name in node.output if name}
        self.reads = Counter(name for node in nodes for name in names_read([node]))
        self.results = results

    def writer_of(self, name: str, op_type: str) -> NodeProto | None:
        """The node of that type that writes the name."""
        node = self.writer.get(name)
        return node if node is not None and node.op_type == op_type else None

    def only_reader(self, name: str, op_type: str) -> NodeProto | None:
        """The node of that type, if it alone reads the name."""
        readers = [node for node in self.nodes if name in node.input]
        alone = len(readers) == 1 and self.reads[name] == 1 and name not in self.results
        return readers[0] if alone and readers[0].op_type == op_type else None

    def constant(self, name: str) -> np.ndarray | None:
        tensor = self.initializers.get(name)
        return None if tensor is None else numpy_helper.to_array(tensor)

    def other_input(self, node: NodeProto, name: str) -> str:
        """Of a node of two inputs, the one that is not `name`."""
        return node.input[1] if node.input[0] == name else node.input[0]

    def private(self, names: list[str], readers: list[NodeProto]) -> bool:
        """Whether the names are read by these nodes only."""
        inside = Counter(name for node in readers for name in set(node.input))
        return all(self.reads[name] == inside[name] and name not in self.results for name in names)

"""Tensors of a graph give way to the names that its inputs and outputs are to have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from onnx import GraphProto

from keras_rnnkit.export.reading.names import distinct_name
from keras_rnnkit.export.writing.emitter import replace_names, subgraphs


def give_way(graph: GraphProto, wanted: Iterable[str]) -> dict[str, str]:
    """Rename, in place, what the graph itself calls by a wanted name: a constant of ours may be `constant_0`, and so
    may an input of the user's. The new names by the old ones."""
    used, wanted = set(tensor_names(graph)), set(wanted)
    names = {name: distinct_name(f"{name}_inside", used | wanted) for name in sorted(used & wanted)}
    if names:
        for node in graph.node:
            replace_names(node, names)
        for constant in graph.initializer:
            constant.name = names.get(constant.name, constant.name)
    return names


def tensor_names(graph: GraphProto) -> Iterator[str]:
    """The names of constants and results, those of inner graphs included."""
    yield from (constant.name for constant in graph.initializer)
    for node in graph.node:
        yield from filter(None, node.output)
        for inner in subgraphs(node):
            yield from (value.name for value in inner.input)
            yield from tensor_names(inner)

"""Rules that put one operator in the place of several; each says when it applies, and changes no result."""

from __future__ import annotations

from onnx import NodeProto, TensorProto

from keras_rnnkit.export.writing.rewriting import layer_normalization
from keras_rnnkit.export.writing.rewriting.pattern import Nodes

RULES = (layer_normalization,)


def rewritten(
    nodes: list[NodeProto],
    initializers: dict[str, TensorProto],
    results: set[str],
    opset: int,
    shapes: dict[str, tuple[int | None, ...]] | None = None,
):
    """The nodes of one graph after all rules; `results`: the names read from outside; `shapes`: of its inputs."""
    for rule in RULES:
        if opset >= rule.OPSET:
            nodes = rule.apply(Nodes(nodes, initializers, results, shapes or {}))
    return nodes


__all__ = ["RULES", "rewritten"]

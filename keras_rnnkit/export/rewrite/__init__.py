"""Rules that put one operator in the place of several; each says when it applies, and changes no result."""

from __future__ import annotations

from onnx import NodeProto, TensorProto

from keras_rnnkit.export.rewrite import layer_normalization
from keras_rnnkit.export.rewrite.pattern import Nodes

RULES = (layer_normalization,)


def rewritten(nodes: list[NodeProto], initializers: dict[str, TensorProto], results: set[str], opset: int):
    """The nodes of one graph after all rules; `results` are the names that are read from outside."""
    for rule in RULES:
        if opset >= rule.OPSET:
            nodes = rule.apply(Nodes(nodes, initializers, results))
    return nodes


__all__ = ["RULES", "rewritten"]

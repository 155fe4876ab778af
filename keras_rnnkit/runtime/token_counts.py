"""How many tokens an ONNX graph takes, from the sizes of its tables of embeddings."""

from __future__ import annotations

from keras_rnnkit.runtime import onnx_fields as onnx
from keras_rnnkit.runtime.onnx_fields import fields

SAME_TOKENS = {
    "Cast",
    "Identity",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "Transpose",
    "Flatten",
    "Slice",
    "Expand",
    "Gather",
}
"""Operators whose output holds numbers of their first input only, in whatever shape."""
SAME_ROWS = {"Cast", "Identity", "DequantizeLinear"}
"""Operators whose output has the rows of their first input."""


def token_counts(content: bytes) -> dict[str, int]:
    """For each input of a graph that is looked up in a table of embeddings, the number of rows of that table.

    A table of V rows takes the tokens 0 to V - 1. onnxruntime counts a negative token from the end of the table, and
    its message for one that is too large names a node and no input.
    """
    graph = next((value for number, value in fields(memoryview(content)) if number == onnx.GRAPH), memoryview(b""))
    tokens, tables, nodes = parts_of(graph)
    counts: dict[str, int] = {}
    for node in nodes:  # each node follows those that it reads from
        operator, inputs, outputs = onnx.text(node, onnx.OPERATOR), *ends(node)
        if operator == "Gather" and inputs[0] in tables and inputs[1] in tokens and axis(node) == 0:
            name = tokens[inputs[1]]
            counts[name] = min(tables[inputs[0]], counts.get(name, tables[inputs[0]]))
        if operator in SAME_TOKENS and inputs[0] in tokens:
            tokens[outputs[0]] = tokens[inputs[0]]
        if operator in SAME_ROWS and inputs[0] in tables:
            tables[outputs[0]] = tables[inputs[0]]
    return counts


def parts_of(graph: memoryview) -> tuple[dict[str, str], dict[str, int], list[memoryview]]:
    """(inputs by name, rows of the tables of numbers by name, nodes) of a graph."""
    inputs, tables, nodes = {}, {}, []
    for number, value in fields(graph):
        if number == onnx.NODE:
            nodes.append(value)
        elif number == onnx.INITIALIZER:
            tables[onnx.text(value, onnx.TENSOR_NAME)] = onnx.integer(value, onnx.DIMS)
        elif number == onnx.INPUT:
            name = onnx.text(value, onnx.VALUE_NAME)
            inputs[name] = name
    return inputs, tables, nodes


def ends(node: memoryview) -> tuple[list[str], list[str]]:
    """The names of what a node reads and writes; two of each at least, "" where there is none."""
    return [*onnx.texts(node, onnx.NODE_INPUT), "", ""], [*onnx.texts(node, onnx.NODE_OUTPUT), "", ""]


def axis(node: memoryview) -> int:
    """The attribute of that name, which is 0 if it is not written."""
    attributes = (value for number, value in fields(node) if number == onnx.ATTRIBUTE)
    return next((onnx.integer(a, onnx.INTEGER) for a in attributes if onnx.text(a, onnx.ATTRIBUTE_NAME) == "axis"), 0)

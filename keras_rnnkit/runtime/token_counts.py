"""How many tokens an ONNX graph takes, from the sizes of its tables of embeddings."""

from __future__ import annotations

from typing import NamedTuple

from keras_rnnkit.runtime import onnx_fields as onnx
from keras_rnnkit.runtime.onnx_fields import fields

SAME_NUMBERS = {
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
ARITHMETIC = {"Add", "Mul", "Where", "Less", "Not"}
"""Operators with which Keras lets negative tokens count from the end: where(token < 0, token + V, token)."""
SAME_ROWS = {"Cast", "Identity", "DequantizeLinear"}
"""Operators whose output has the rows of their first input."""


class Origin(NamedTuple):
    """What the numbers of an array come from: inputs of the graph, and the constants of the arithmetic on them."""

    inputs: frozenset[str]
    constants: frozenset[int]


class Tables(NamedTuple):
    """A graph. origins: of each array that comes from inputs and constants. rows: of each table of numbers."""

    origins: dict[str, Origin]
    rows: dict[str, int]
    nodes: list[memoryview]


def token_counts(content: bytes) -> dict[str, int]:
    """For each input of a graph that is looked up in a table of embeddings, the number of rows of that table.

    A table of V rows takes the tokens 0 to V - 1. Graphs count a negative token from the end of the table, and
    onnxruntime's message for one that is too large names a node and no input.
    """
    graph = next((value for number, value in fields(memoryview(content)) if number == onnx.GRAPH), memoryview(b""))
    origins, rows, nodes = tables_of(graph)
    counts: dict[str, int] = {}
    for node in nodes:  # each node follows those that it reads from
        operator, inputs, outputs = onnx.text(node, onnx.OPERATOR), *ends(node)
        if operator == "Gather" and inputs[0] in rows and inputs[1] in origins and axis(node) == 0:
            names, constants = origins[inputs[1]]
            if len(names) == 1 and constants <= {0, rows[inputs[0]]}:
                (name,) = names
                counts[name] = min(rows[inputs[0]], counts.get(name, rows[inputs[0]]))
        origin = origin_of(operator, inputs, origins)
        if origin is not None:
            origins[outputs[0]] = origin
        if operator in SAME_ROWS and inputs[0] in rows:
            rows[outputs[0]] = rows[inputs[0]]
    return counts


def origin_of(operator: str, inputs: list[str], origins: dict[str, Origin]) -> Origin | None:
    """What the output of a node comes from; None for what is not followed further."""
    if operator in SAME_NUMBERS:
        return origins.get(inputs[0])
    if operator not in ARITHMETIC:
        return None
    sources = [origins.get(name) for name in inputs if name]
    followed = [source for source in sources if source is not None]
    if len(followed) < len(sources):
        return None
    names, constants = zip(*followed, strict=True)
    return Origin(frozenset().union(*names), frozenset().union(*constants))


def tables_of(graph: memoryview) -> Tables:
    tables = Tables({}, {}, [])
    for number, value in fields(graph):
        if number == onnx.NODE:
            tables.nodes.append(value)
        elif number == onnx.INITIALIZER:
            name = onnx.text(value, onnx.TENSOR_NAME)
            tables.rows[name] = onnx.integer(value, onnx.DIMS)
            constant = scalar(value)
            if constant is not None:
                tables.origins[name] = Origin(frozenset(), frozenset([constant]))
        elif number == onnx.INPUT:
            name = onnx.text(value, onnx.VALUE_NAME)
            tables.origins[name] = Origin(frozenset([name]), frozenset())
    return tables


def scalar(tensor: memoryview) -> int | None:
    """The number of a tensor that holds one whole number, or zero of any dtype; None for all others."""
    lengths, values = [], []
    for number, value in fields(tensor):
        if number == onnx.DIMS:
            lengths.append(bytes(value))
        elif number == onnx.RAW_DATA and len(value) <= 8:
            values.append(int.from_bytes(value, "little"))
        elif number in (onnx.INT32_DATA, onnx.INT64_DATA) and len(value) <= 10:
            values.append(onnx.varint(value, 0)[0])
        elif number == onnx.FLOAT_DATA and not any(value):
            values.append(0)
    if len(values) != 1 or any(length != b"\x01" for length in lengths):
        return None
    # The bytes of a real number are not its value, unless all of them are zero.
    is_whole = onnx.integer(tensor, onnx.DATA_TYPE) in onnx.WHOLE_TYPES
    return values[0] if is_whole or values[0] == 0 else None


def ends(node: memoryview) -> tuple[list[str], list[str]]:
    """The names of what a node reads and writes; two of each at least, "" where there is none."""
    return [*onnx.texts(node, onnx.NODE_INPUT), "", ""], [*onnx.texts(node, onnx.NODE_OUTPUT), "", ""]


def axis(node: memoryview) -> int:
    """The attribute of that name, which is 0 if it is not written."""
    attributes = (value for number, value in fields(node) if number == onnx.ATTRIBUTE)
    return next((onnx.integer(a, onnx.INTEGER) for a in attributes if onnx.text(a, onnx.ATTRIBUTE_NAME) == "axis"), 0)

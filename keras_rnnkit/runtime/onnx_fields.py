"""The fields of an ONNX file, read without the onnx package.

An ONNX file is a protocol buffer: fields of a number and a kind, some of them messages themselves. The few that matter
here have been in the format since its beginning.
"""

from __future__ import annotations

from collections.abc import Iterator

GRAPH, OPSET, FUNCTION = 7, 8, 25  # of a model
NODE, INITIALIZER, SPARSE, INPUT = 1, 5, 15, 11  # of a graph
NODE_INPUT, NODE_OUTPUT, OPERATOR, ATTRIBUTE = 1, 2, 4, 5  # of a node
ATTRIBUTE_NAME, INTEGER, TENSOR, SUBGRAPH, TENSORS, SUBGRAPHS = 1, 3, 5, 6, 10, 11  # of an attribute
DIMS, DATA_TYPE, FLOAT_DATA, INT32_DATA, INT64_DATA, TENSOR_NAME, RAW_DATA = 1, 2, 4, 5, 7, 8, 9  # of a tensor
EXTERNAL_DATA, DATA_LOCATION = 13, 14  # of a tensor
DOMAIN = 1  # of an imported set of operators
VALUE_NAME = 1  # of an input of the graph
WHOLE_TYPES = {2, 3, 4, 5, 6, 7, 9, 12, 13}
"""The values of DATA_TYPE for whole numbers of 8 to 64 bits, and for booleans."""


def fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The fields of a message: number, and bytes; of a number that is not packed, its bytes too.

    >>> [(number, bytes(value)) for number, value in fields(memoryview(bytes([0x0A, 2, 104, 105, 0x70, 1])))]
    [(1, b'hi'), (14, b'\\x01')]
    """
    place = 0
    while place < len(message):
        key, place = varint(message, place)
        kind = key & 7
        if kind == 0:
            _, end = varint(message, place)
        elif kind == 1:
            end = place + 8
        elif kind == 2:
            size, place = varint(message, place)
            end = place + size
        elif kind == 5:
            end = place + 4
        else:
            raise ValueError(f"a field of kind {kind}")
        if end > len(message):
            raise ValueError("a field is longer than its message")
        yield key >> 3, message[place:end]
        place = end


def varint(message: memoryview, place: int) -> tuple[int, int]:
    """A number of variable length, and the position after it."""
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
        if shift > 63:
            raise ValueError("a number of more than 64 bits")


def text(message: memoryview, number: int) -> str:
    """A field that is a text; "" where there is none."""
    return next((str(bytes(value), "utf-8") for n, value in fields(message) if n == number), "")


def texts(message: memoryview, number: int) -> list[str]:
    return [str(bytes(value), "utf-8") for n, value in fields(message) if n == number]


def integer(message: memoryview, number: int, default: int = 0) -> int:
    """A field that is a number, the first one where it is repeated."""
    return next((varint(value, 0)[0] for n, value in fields(message) if n == number and len(value)), default)

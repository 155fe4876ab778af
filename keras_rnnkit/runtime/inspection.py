"""Looking into an ONNX file before it is opened, without onnx: what could reach outside of it.

An ONNX file is a protocol buffer: fields of a number and a kind, some of them messages themselves. The few that matter
here have been in the format since its beginning.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from keras_rnnkit.runtime.errors import BundleError

DOMAINS = {"", "ai.onnx", "ai.onnx.ml", "com.microsoft"}
"""Whose operators onnxruntime brings; others would have to be loaded from a library."""

GRAPH, OPSET, FUNCTION = 7, 8, 25  # of a model
NODE, INITIALIZER, SPARSE = 1, 5, 15  # of a graph
ATTRIBUTE = 5  # of a node
TENSOR, SUBGRAPH, TENSORS, SUBGRAPHS = 5, 6, 10, 11  # of an attribute
EXTERNAL_DATA, DATA_LOCATION = 13, 14  # of a tensor
DOMAIN = 1  # of an imported set of operators


def check(path: Path) -> None:
    """An error if the file keeps numbers elsewhere, or uses operators that onnxruntime does not bring."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(f"There is no graph {str(path)!r}: {error.strerror}.") from error
    try:
        domains, external = surveyed(memoryview(content))
    except (IndexError, ValueError, UnicodeDecodeError) as error:
        raise BundleError(f"{str(path)!r} is not an ONNX file, or is damaged. Export the model again.") from error
    if external:
        raise BundleError(
            f"{str(path)!r} keeps numbers in other files, which this runtime does not read. Save it as one file, with "
            "onnx.save(model, path, save_as_external_data=False)."
        )
    if domains - DOMAINS:
        raise BundleError(
            f"{str(path)!r} uses operators of {', '.join(map(repr, sorted(domains - DOMAINS)))}, which are not "
            f"onnxruntime's own. Known: {', '.join(map(repr, sorted(DOMAINS - {''})))}."
        )


def surveyed(model: memoryview) -> tuple[set[str], bool]:
    """The domains that a model imports, and whether a tensor of it is kept in another file."""
    domains, external = set(), False
    for number, value in fields(model):
        if number == OPSET:
            domains.add(next((str(bytes(v), "utf-8") for n, v in fields(value) if n == DOMAIN), ""))
        elif number == GRAPH:
            external |= graph_is_external(value)
        elif number == FUNCTION:
            raise ValueError("functions of the file's own")
    return domains, external


def graph_is_external(graph: memoryview) -> bool:
    for number, value in fields(graph):
        if number == INITIALIZER and tensor_is_external(value):
            return True
        if number == SPARSE and any(tensor_is_external(part) for n, part in fields(value) if n in (1, 2)):
            return True
        if number == NODE and any(attribute_is_external(part) for n, part in fields(value) if n == ATTRIBUTE):
            return True
    return False


def attribute_is_external(attribute: memoryview) -> bool:
    return any(
        tensor_is_external(value) if number in (TENSOR, TENSORS) else graph_is_external(value)
        for number, value in fields(attribute)
        if number in (TENSOR, TENSORS, SUBGRAPH, SUBGRAPHS)
    )


def tensor_is_external(tensor: memoryview) -> bool:
    return any(n == EXTERNAL_DATA or (n == DATA_LOCATION and bytes(value) == b"\x01") for n, value in fields(tensor))


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
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
        if shift > 63:
            raise ValueError("a number of more than 64 bits")

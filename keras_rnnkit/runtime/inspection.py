"""Inspects an ONNX file before onnxruntime opens it: how many tokens it takes, and whether it refers to other files."""

from __future__ import annotations

from keras_rnnkit.runtime import onnx_fields as onnx
from keras_rnnkit.runtime.errors import BundleError
from keras_rnnkit.runtime.onnx_fields import fields
from keras_rnnkit.runtime.token_counts import token_counts

DOMAINS = {"", "ai.onnx", "ai.onnx.ml", "com.microsoft"}
"""The domains whose operators onnxruntime ships; others would have to be loaded from a library."""


def checked_token_counts(content: bytes, where: str) -> dict[str, int]:
    """The `token_counts` of a file; BundleError if it could reach outside of itself, or is no ONNX file.

    It must not keep numbers elsewhere, nor use operators that onnxruntime does not ship.
    """
    try:
        domains, external = surveyed(memoryview(content))
        counts = token_counts(content)
    except (IndexError, ValueError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(f"{where!r} is not an ONNX file, or is damaged. Export the model again.") from error
    if external:
        raise BundleError(
            f"{where!r} keeps numbers in other files, which this runtime does not read. Save it as one file, with "
            "onnx.save(model, path, save_as_external_data=False)."
        )
    if domains - DOMAINS:
        raise BundleError(
            f"{where!r} uses operators of {', '.join(map(repr, sorted(domains - DOMAINS)))}, which onnxruntime does "
            f"not ship. It ships those of {', '.join(map(repr, sorted(DOMAINS - {''})))}."
        )
    return counts


def surveyed(model: memoryview) -> tuple[set[str], bool]:
    """The domains that a model imports, and whether one of its tensors is stored in another file."""
    domains, external = set(), False
    for number, value in fields(model):
        if number == onnx.OPSET:
            domains.add(onnx.text(value, onnx.DOMAIN))
        elif number == onnx.GRAPH:
            external |= graph_is_external(value)
        elif number == onnx.FUNCTION:
            raise ValueError("functions of the file's own")
    return domains, external


def graph_is_external(graph: memoryview) -> bool:
    for number, value in fields(graph):
        if number == onnx.INITIALIZER and tensor_is_external(value):
            return True
        if number == onnx.SPARSE and any(tensor_is_external(tensor) for n, tensor in fields(value) if n in (1, 2)):
            return True
        if number == onnx.NODE and any(attribute_is_external(item) for n, item in fields(value) if n == onnx.ATTRIBUTE):
            return True
    return False


def attribute_is_external(attribute: memoryview) -> bool:
    return any(
        tensor_is_external(value) if number in (onnx.TENSOR, onnx.TENSORS) else graph_is_external(value)
        for number, value in fields(attribute)
        if number in (onnx.TENSOR, onnx.TENSORS, onnx.SUBGRAPH, onnx.SUBGRAPHS)
    )


def tensor_is_external(tensor: memoryview) -> bool:
    return any(
        n == onnx.EXTERNAL_DATA or (n == onnx.DATA_LOCATION and bytes(value) == b"\x01") for n, value in fields(tensor)
    )

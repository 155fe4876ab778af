"""Tensors as the Open Inference Protocol v2 sends them: JSON, or JSON with bytes behind it.

A request with bytes says in `Inference-Header-Content-Length` how long the JSON is; each tensor in it whose parameters
have `binary_data_size` takes so many of the bytes that follow, in order.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import orjson

from keras_rnnkit.serving.errors import malformed, too_large
from keras_rnnkit.serving.models.datatypes import BY_DTYPE, DATATYPES, all_finite, low_byte_first

HEADER = "inference-header-content-length"
LARGEST = 2**28
"""Numbers of one tensor."""
MAX_CLASSES = 4096
DEPTH = 8
"""Axes of a tensor."""
JSON_KINDS = {str: "text", dict: "objects", type(None): "null", bool: "true or false", list: "lists"} | {
    int: "whole numbers",
    float: "numbers",
}


def json_length(header: str | None, size: int) -> int:
    """How many of a body's bytes are JSON, from the header that says so."""
    if header is None:
        return size
    if not (header.isascii() and header.isdigit() and len(header) < 19 and int(header) <= size):
        raise malformed(
            f"Inference-Header-Content-Length must be the length of the JSON, 0 to {size}. Received: {header[:40]!r}."
        )
    return int(header)


def parsed(body: bytes | bytearray | memoryview, length: int | None = None) -> tuple[dict[str, Any], memoryview]:
    """The JSON object that begins a body, and the bytes behind it."""
    view = memoryview(body)
    length = len(view) if length is None else length
    try:
        request = orjson.loads(view[:length])
    except orjson.JSONDecodeError as error:
        raise malformed(f"The request is not JSON: {error}.") from None
    if not isinstance(request, dict):
        raise malformed(f"The request must be a JSON object. Received: {JSON_KINDS.get(type(request), 'a value')}.")
    return request, view[length:]


def inputs(request: Mapping[str, Any], rest: memoryview) -> dict[str, np.ndarray]:
    """The tensors of a request by name."""
    entries = request.get("inputs")
    if not isinstance(entries, list) or not entries:
        raise malformed('A request must have "inputs", a list of one tensor or more.')
    arrays: dict[str, np.ndarray] = {}
    for entry in entries:
        name, array, rest = tensor(entry, rest)
        if name in arrays:
            raise malformed(f"The input {name[:80]!r} is in the request twice.")
        arrays[name] = array
    if len(rest):
        raise malformed(f"{len(rest)} bytes are left over behind the inputs. Check the binary_data_size of each.")
    return arrays


def tensor(entry: Any, rest: memoryview) -> tuple[str, np.ndarray, memoryview]:
    """Name and array of one input, and the bytes behind it."""
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise malformed("Each input must be an object with name, datatype, shape and data.")
    if len(entry["name"]) > 1024:
        raise malformed("The name of an input may have 1024 characters.")
    name, datatype = entry["name"], entry.get("datatype")
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        raise malformed(
            f"The input {name!r} has the datatype {str(datatype)[:40]!r}. Datatypes are {', '.join(DATATYPES)}."
        )
    shape = checked_shape(name, entry.get("shape"))
    size = parameters(entry).get("binary_data_size")
    if size is None:
        return name, from_json(name, entry.get("data"), shape, datatype), rest
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= len(rest):
        raise malformed(f"The input {name!r} takes binary_data_size {size!r} of the {len(rest)} bytes that are left.")
    dtype = np.dtype(DATATYPES[datatype]).newbyteorder("<")
    expected = math.prod(shape) * dtype.itemsize
    if size != expected:
        raise malformed(
            f"The input {name!r} of shape {list(shape)} and datatype {datatype} takes {expected} bytes. Received: "
            f"binary_data_size {size}."
        )
    array = np.frombuffer(rest[:size], dtype).reshape(shape)
    if datatype == "BOOL" and array.size and array.view(np.uint8).max() > 1:
        raise malformed(f"The input {name!r} is BOOL, so its bytes must be 0 or 1.")
    return name, finite(name, array.astype(dtype.newbyteorder("="), copy=False)), rest[size:]


def checked_shape(name: str, shape: Any) -> tuple[int, ...]:
    whole = isinstance(shape, list) and len(shape) <= DEPTH and all(type(n) is int and n >= 0 for n in shape)
    if not whole:
        raise malformed(
            f"The shape of the input {name!r} must be a list of up to {DEPTH} whole numbers. Received: "
            f"{str(shape)[:80]}."
        )
    if math.prod(shape) > LARGEST or max(shape, default=0) > LARGEST:  # [2**62, 0] has no numbers, and is no shape
        raise too_large(f"The input {name!r} has more than {LARGEST:,} numbers.")
    return tuple(shape)


def from_json(name: str, data: Any, shape: tuple[int, ...], datatype: str) -> np.ndarray:
    """The array of a JSON list, flat or nested."""
    if not isinstance(data, list):
        raise malformed(f"The input {name!r} must have data, a list of numbers, or the parameter binary_data_size.")
    numbers, _ = flattened(name, data)
    array = typed(name, numbers, datatype)
    if array.size != math.prod(shape):
        raise malformed(
            f"The input {name!r} of shape {list(shape)} takes {math.prod(shape)} numbers. Received: {array.size}."
        )
    return array.reshape(shape)


def flattened(name: str, data: list[Any]) -> tuple[list[Any], list[int]]:
    """The numbers of a nested list, and its shape. Types are looked at before NumPy sees anything: it would make the
    longest text of a list the size of every place of an array."""
    level, shape = data, [len(data)]
    while level and type(level[0]) is list and len(shape) < DEPTH:
        if set(map(type, level)) != {list} or len(sizes := set(map(len, level))) != 1:
            raise malformed(f"The data of {name[:80]!r} must be a list of numbers, nested to one shape.")
        shape.append(sizes.pop())
        level = list(itertools.chain.from_iterable(level))
    kinds = set(map(type, level))
    if not kinds <= {int, float} and kinds != {bool}:
        raise malformed(
            f"The data of {name[:80]!r} must be a list of numbers, nested to one shape. Received among them: "
            f"{', '.join(sorted(JSON_KINDS.get(kind, 'other') for kind in kinds))}."
        )
    return level, shape


def typed(name: str, numbers: list[Any], datatype: str) -> np.ndarray:
    """Numbers as an array of that datatype, if it can hold them."""
    dtype, kinds = np.dtype(DATATYPES[datatype]), set(map(type, numbers))
    allowed: dict[str, set[type]] = {"b": {bool}, "f": {int, float}}
    fits = kinds <= allowed.get(dtype.kind, {int})
    if fits and dtype.kind in "iu" and numbers:
        limits = np.iinfo(dtype)
        fits = limits.min <= min(numbers) and max(numbers) <= limits.max
    if not fits:
        raise malformed(f"The data of {name[:80]!r} must be numbers of {datatype}.")
    with np.errstate(over="ignore"):
        return finite(name, np.array(numbers, np.float64 if dtype.kind == "f" else dtype).astype(dtype, copy=False))


def untyped(name: str, value: Any) -> np.ndarray:
    """The array of a nested list that comes without a datatype, as over a WebSocket."""
    if not isinstance(value, list):
        raise malformed(f"The input {name[:80]!r} must be a list of numbers.")
    numbers, shape = flattened(name, value)
    kinds = set(map(type, numbers))
    datatype = "BOOL" if bool in kinds else "INT64" if kinds == {int} else "FP64"
    return typed(name, numbers, datatype).reshape(shape)


def finite(name: str, array: np.ndarray) -> np.ndarray:
    if not all_finite(array):
        raise malformed(f"The input {name!r} holds NaN or infinity.")
    return array


def parameters(entry: Mapping[str, Any]) -> dict[str, Any]:
    options = entry.get("parameters") or {}
    if not isinstance(options, dict):
        raise malformed(f"parameters must be an object. Received: {type(options).__name__}.")
    return options


# ---------------------------------------------------------------------- answers


class Wanted(NamedTuple):
    """How an output is sent: as bytes behind the JSON, or in it; all of it, or so many of the best classes."""

    binary: bool
    classes: int = 0


def wanted(request: Mapping[str, Any], names: Iterable[str]) -> dict[str, Wanted]:
    """The outputs to send, by name."""
    names = list(names)
    everything = bool(parameters(request).get("binary_data_output", False))
    entries = request.get("outputs")
    if not entries:
        return dict.fromkeys(names, Wanted(everything))
    if not isinstance(entries, list):
        raise malformed('"outputs" must be a list of objects with a name.')
    chosen = {}
    for entry in entries:
        name = entry.get("name") if isinstance(entry, dict) else None
        if name not in names:
            raise malformed(f"There is no output {str(name)[:80]!r}. The model has {', '.join(map(repr, names))}.")
        options = parameters(entry)
        classes = options.get("classification", 0)
        if type(classes) is not int or classes < 0:
            raise malformed(f"classification must be a number of classes. Received: {str(classes)[:40]!r}.")
        chosen[name] = Wanted(bool(options.get("binary_data", everything)), classes)
    return chosen


def encoded(
    answer: dict[str, Any],
    arrays: Mapping[str, np.ndarray],
    wanted: Mapping[str, Wanted],
    labels: list[str] | None = None,
    key: str = "outputs",
) -> tuple[bytes, int]:
    """The body of an answer, and how long its JSON is: all of it where no bytes follow. labels: of classes. key: what
    the tensors are called in it."""
    outputs: list[dict[str, Any]] = []
    chunks: list[bytes] = []
    for name, how in wanted.items():
        array = np.ascontiguousarray(arrays[name])
        if how.classes:
            outputs.append(classified(name, array, how, labels, chunks))
            continue
        entry: dict[str, Any] = {"name": name, "datatype": BY_DTYPE[array.dtype], "shape": list(array.shape)}
        if how.binary:
            chunks.append(low_byte_first(array).tobytes())
            entry["parameters"] = {"binary_data_size": len(chunks[-1])}
        else:
            entry["data"] = array.ravel()
        outputs.append(entry)
    answer = {**answer, key: outputs}
    head = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY, default=as_list)
    return b"".join(itertools.chain([head], chunks)) if chunks else head, len(head)


def classified(
    name: str, array: np.ndarray, how: Wanted, labels: list[str] | None, chunks: list[bytes]
) -> dict[str, Any]:
    """An output as its best classes, "value:number" or "value:number:label", as Triton's clients ask for them."""
    texts = best_classes(name, array, how.classes, labels)
    entry: dict[str, Any] = {"name": name, "datatype": "BYTES", "shape": list(texts.shape)}
    if how.binary:
        encoded = [text.encode() for text in texts.ravel().tolist()]
        chunks.append(b"".join(len(text).to_bytes(4, "little") + text for text in encoded))
        return entry | {"parameters": {"binary_data_size": len(chunks[-1])}}
    return entry | {"data": texts.ravel().tolist()}


def best_classes(name: str, array: np.ndarray, count: int, labels: list[str] | None) -> np.ndarray:
    """The largest values of the last axis, the best first."""
    if not array.ndim or array.dtype.kind not in "iuf":
        raise malformed(f"The output {name!r} has no classes.")
    count = min(count, array.shape[-1])
    if array.size // max(1, array.shape[-1]) * count > MAX_CLASSES:
        raise too_large(f"An answer may hold {MAX_CLASSES:,} classes. Ask for fewer, or for the numbers.")
    order = np.argsort(-array.astype(np.float64), axis=-1, kind="stable")[..., :count]
    best = np.take_along_axis(array, order, axis=-1)
    named = labels is not None and len(labels) == array.shape[-1]
    texts = [
        f"{value:f}:{number}:{labels[number]}" if named and labels else f"{value:f}:{number}"
        for value, number in zip(best.ravel().tolist(), order.ravel().tolist(), strict=True)
    ]
    return np.array(texts, object).reshape(order.shape)


def as_list(value: Any) -> Any:
    """What orjson does not write by itself: arrays of half precision."""
    if isinstance(value, np.ndarray):
        return value.astype(np.float32)
    raise TypeError(f"{type(value).__name__} is no JSON")


def json_bytes(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY, default=as_list)

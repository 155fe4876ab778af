"""Tensors as the Open Inference Protocol v2 sends them: JSON, or JSON with bytes behind it.

A request with bytes says in `Inference-Header-Content-Length` how long the JSON is; each tensor in it whose parameters
have `binary_data_size` takes so many of the bytes that follow, in order.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import orjson

from keras_rnnkit.serving.errors import malformed, too_large
from keras_rnnkit.serving.models.datatypes import DATATYPES, NAMES

HEADER = "inference-header-content-length"
LARGEST = 2**28
"""Numbers of one tensor."""


def parsed(body: bytes, header: str | None) -> tuple[dict[str, Any], memoryview]:
    """The JSON object of a request, and the bytes behind it."""
    length = len(body)
    if header is not None:
        if not (header.isascii() and header.isdigit() and len(header) < 19 and int(header) <= length):
            raise malformed(
                f"Inference-Header-Content-Length is the length of the JSON, 0 to {length}. Received: {header[:40]!r}."
            )
        length = int(header)
    view = memoryview(body)
    try:
        found = orjson.loads(view[:length])
    except orjson.JSONDecodeError as error:
        raise malformed(f"The request is not JSON: {error}.") from None
    if not isinstance(found, dict):
        raise malformed(f"The request is a JSON object. Received: {type(found).__name__}.")
    return found, view[length:]


def inputs(request: Mapping[str, Any], rest: memoryview) -> dict[str, np.ndarray]:
    """The tensors of a request by name."""
    entries = request.get("inputs")
    if not isinstance(entries, list) or not entries:
        raise malformed('A request has "inputs", a list of one tensor or more.')
    found: dict[str, np.ndarray] = {}
    for entry in entries:
        name, array, rest = tensor(entry, rest)
        if name in found:
            raise malformed(f"The input {name!r} is there twice.")
        found[name] = array
    if len(rest):
        raise malformed(f"{len(rest)} bytes are left over behind the inputs. Check the binary_data_size of each.")
    return found


def tensor(entry: Any, rest: memoryview) -> tuple[str, np.ndarray, memoryview]:
    """Name and array of one input, and the bytes behind it."""
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise malformed("Each input is an object with name, datatype, shape and data.")
    name, datatype = entry["name"], entry.get("datatype")
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        raise malformed(f"The input {name!r} has the datatype {datatype!r}. Known: {', '.join(DATATYPES)}.")
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
        raise malformed(f"The input {name!r} is BOOL, bytes of 0 and 1.")
    return name, finite(name, array.astype(dtype.newbyteorder("="), copy=False)), rest[size:]


def checked_shape(name: str, shape: Any) -> tuple[int, ...]:
    whole = isinstance(shape, list) and all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in shape)
    if not whole or len(shape) > 8:
        raise malformed(
            f"The input {name!r} has a shape, a list of up to 8 whole numbers. Received: {str(shape)[:80]}."
        )
    if math.prod(shape) > LARGEST:
        raise too_large(f"The input {name!r} has more than {LARGEST:,} numbers.")
    return tuple(shape)


def from_json(name: str, data: Any, shape: tuple[int, ...], datatype: str) -> np.ndarray:
    """The array of a JSON list, flat or nested."""
    if not isinstance(data, list):
        raise malformed(f"The input {name!r} has data, a list of numbers, or the parameter binary_data_size.")
    dtype = np.dtype(DATATYPES[datatype])
    try:
        array = np.array(data)
        fits = array.dtype.kind in {"b": "b", "f": "iuf"}.get(dtype.kind, "iu") or not array.size
        with np.errstate(over="ignore"):
            cast = array.astype(dtype)
    except (ValueError, TypeError, OverflowError) as error:
        raise malformed(f"The data of {name!r} are not numbers of {datatype}: {str(error)[:200]}.") from None
    if not fits or (dtype.kind in "iu" and not np.array_equal(cast, array)):
        raise malformed(f"The data of {name!r} are not numbers of {datatype}.")
    if array.size != math.prod(shape):
        raise malformed(
            f"The input {name!r} of shape {list(shape)} takes {math.prod(shape)} numbers. Received: {array.size}."
        )
    return finite(name, cast.reshape(shape))


def finite(name: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise malformed(f"The input {name!r} holds NaN or infinity.")
    return array


def parameters(entry: Mapping[str, Any]) -> dict[str, Any]:
    found = entry.get("parameters") or {}
    if not isinstance(found, dict):
        raise malformed(f"parameters is an object. Received: {type(found).__name__}.")
    return found


# ---------------------------------------------------------------------- answers


def wanted(request: Mapping[str, Any], known: Iterable[str]) -> dict[str, bool]:
    """The outputs to send, by name, and whether as bytes."""
    known = list(known)
    everything = bool(parameters(request).get("binary_data_output", False))
    entries = request.get("outputs")
    if not entries:
        return dict.fromkeys(known, everything)
    if not isinstance(entries, list):
        raise malformed('"outputs" is a list of objects with a name.')
    found = {}
    for entry in entries:
        name = entry.get("name") if isinstance(entry, dict) else None
        if name not in known:
            raise malformed(f"There is no output {str(name)[:80]!r}. The model has {', '.join(map(repr, known))}.")
        found[name] = bool(parameters(entry).get("binary_data", everything))
    return found


def encoded(
    answer: dict[str, Any], arrays: Mapping[str, np.ndarray], binary: Mapping[str, bool]
) -> tuple[bytes, int | None]:
    """The body of an answer, and how long its JSON is where bytes follow."""
    outputs, chunks = [], []
    for name, as_bytes in binary.items():
        array = np.ascontiguousarray(arrays[name])
        entry: dict[str, Any] = {"name": name, "datatype": NAMES[array.dtype.name], "shape": list(array.shape)}
        if as_bytes:
            chunks.append(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
            entry["parameters"] = {"binary_data_size": len(chunks[-1])}
        else:
            entry["data"] = array.ravel()
        outputs.append(entry)
    answer = {**answer, "outputs": outputs}
    head = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY, default=as_list)
    return b"".join(itertools.chain([head], chunks)), len(head) if chunks else None


def as_list(value: Any) -> Any:
    """What orjson does not write by itself: arrays of half precision."""
    if isinstance(value, np.ndarray):
        return value.astype(np.float32)
    raise TypeError(f"{type(value).__name__} is no JSON")


def json_bytes(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY, default=as_list)

"""The manifest of a bundle, which describes its files and is checked against a schema."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Any

from keras_rnnkit.runtime.errors import BundleError
from keras_rnnkit.runtime.schema import (
    SchemaError,
    dict_of,
    integer,
    list_of,
    number,
    one_of,
    optional,
    record,
    require,
    sha256,
    text,
)

NAME = "manifest.json"
FORMAT = 1
"""The version of the manifest's format; a reader refuses all others."""
LARGEST = 2**24
"""Bytes that a manifest may have. A bundle of a hundred layers needs some twenty thousand."""

FILES = {"sequence": "sequence.onnx", "stream": "step.onnx", "generate": "generate.onnx"} | {
    "encoder": "encoder.onnx",
    "step": "step.onnx",
}
"""The file of each mode; the last two are those of a model that reads a source first."""


def quantized_file(mode: str, kind: str) -> str:
    """
    >>> quantized_file("stream", "int8")
    'step.int8.onnx'
    """
    return FILES[mode].replace(".onnx", f".{kind}.onnx")


def file_name(value: Any, place: str) -> None:
    """A path of a file inside the bundle, written in the one way that names it."""
    text(value, place)
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts:
        raise SchemaError(f"{place} names {value!r}, which lies outside of the bundle")
    printable = value.isprintable() and not set(value) & set('\\:*?"<>|')
    plain = printable and value == path.as_posix() and value not in ("", ".", NAME)
    require(
        plain, place, "the path of a file in the bundle, such as 'step.onnx' or 'saved_model/saved_model.pb'", value
    )


def axis(value: Any, place: str) -> None:
    """The length of an axis, its name if it is free, or null if it has neither."""
    (integer() if isinstance(value, int) else optional(text))(value, place)


LAYER = record({"layer": text, "lowering": text, "reason": text, "nodes": integer()}, {"error": optional(number)})
SHAPES = dict_of(list_of(axis))
QUANTIZED = record({"file": file_name, "error": optional(number)}, {"layers": list_of(LAYER)})
GRAPH = record(
    {
        "file": file_name,
        "error": optional(number),
        "opset": integer(1),
        "size": integer(),
        "nodes": integer(),
        "inputs": SHAPES,
        "outputs": SHAPES,
        "layers": list_of(LAYER),
        "quantized": dict_of(QUANTIZED),
        "notes": list_of(text),
    },
    {"tolerance": number, "states": list_of(list_of(text, 2)), "latency": optional(text)},
)
SAVED_MODEL = record({"signatures": list_of(text), "error": optional(number)}, {"refusal": optional(text)})
TRANSLATION = record(
    {
        "source": one_of("tokens", "features", "image"),
        "source_tokens": optional(integer(1)),
        "source_shape": list_of(optional(integer(1))),
        "limit": optional(integer(1)),
        "begin": integer(),
        "end": integer(),
    },
    {"tokens": integer(1)},
)
MANIFEST = record(
    {
        "format": integer(1),
        "name": text,
        "created": text,
        "versions": dict_of(text),
        "graphs": dict_of(GRAPH, key=one_of(*FILES)),
        "files": dict_of(record({"sha256": sha256, "size": integer()}), key=file_name),
    },
    {
        "saved_model": optional(SAVED_MODEL),
        "vocabulary": optional(file_name),
        "source_vocabulary": optional(file_name),
        "labels": optional(list_of(text)),
        "refused": dict_of(text),
        "translation": TRANSLATION,
    },
)
"""What this version reads. Keys that are not named here are ignored."""

DEFAULTS: dict[str, Any] = {
    "saved_model": None,
    "vocabulary": None,
    "source_vocabulary": None,
    "labels": None,
    "refused": {},
}
"""Values of keys that may be missing."""


def parsed(content: bytes, where: str) -> dict[str, Any]:
    """The manifest that these bytes hold; BundleError for anything that is not one. where: its path, for messages."""
    try:
        require(len(content) <= LARGEST, "the file", f"one of at most {LARGEST} bytes", len(content))
        manifest = json.loads(content.decode("utf-8"), object_pairs_hook=distinct_keys, parse_constant=no_constant)
        record({"format": integer(1)})(manifest, "manifest")
        if manifest["format"] == FORMAT:  # another version may differ in everything else
            MANIFEST(manifest, "manifest")
            check_references(manifest)
    except (ValueError, RecursionError) as error:
        cause = None if isinstance(error, SchemaError) else error
        raise BundleError(f"{where!r} is not the manifest of a bundle: {error}. Export the model again.") from cause
    if manifest["format"] != FORMAT:
        raise BundleError(
            f"The manifest {where!r} has format {manifest['format']}; this keras_rnnkit reads format {FORMAT}. Install "
            "the version that wrote it, or export the model again."
        )
    return DEFAULTS | manifest


def distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    require(twice is None, "each object", "one that has every key once", twice)
    return dict(pairs)


def no_constant(name: str) -> None:
    raise SchemaError(f"every number must be finite. Received: {name}")


def check_references(manifest: dict[str, Any]) -> None:
    """Every file that the manifest names must be in its list of files, which has their hashes."""
    graphs = manifest["graphs"].items()
    named = {f"graphs.{mode}.file": graph["file"] for mode, graph in graphs}
    named |= {
        f"graphs.{mode}.quantized.{k}": q["file"] for mode, graph in graphs for k, q in graph["quantized"].items()
    }
    named |= {key: manifest[key] for key in ("vocabulary", "source_vocabulary") if manifest.get(key)}
    for place, name in named.items():
        require(name in manifest["files"], place, "one of the files that the manifest lists", name)

"""The manifest of a bundle: what its files are, and whether they are still what was written."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path, PurePosixPath
from typing import Any

from keras_rnnkit.runtime.errors import BundleError

NAME = "manifest.json"
FORMAT = 1
"""The version of the manifest's form; a reader refuses later ones."""

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


def read(folder: Path) -> dict[str, Any]:
    """The manifest of a bundle, as a dict."""
    path = folder / NAME
    if not path.is_file():
        raise BundleError(
            f"There is no bundle in {str(folder)!r}: it has no {NAME}. "
            "keras_rnnkit.export_bundle(model, folder) writes one."
        )
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        version, files = manifest["format"], manifest["files"]
        known = all(isinstance(files[name]["sha256"], str) for name in files) and isinstance(manifest["graphs"], dict)
    except (ValueError, KeyError, TypeError, AttributeError):
        version, known = FORMAT, False
    if not known:
        raise BundleError(f"{str(path)!r} is not the manifest of a bundle. Export the model again.")
    if version != FORMAT:
        raise BundleError(
            f"The bundle {str(folder)!r} has the form {version!r}; this keras_rnnkit reads form {FORMAT}. Install the "
            "version that wrote it, or export the model again."
        )
    return manifest


def check_files(folder: Path, manifest: dict[str, Any]) -> None:
    """An error if a file of the bundle is missing or is not the one that was written."""
    for name, known in manifest["files"].items():
        path = folder / name
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise BundleError(f"The manifest of {str(folder)!r} names {name!r}, which lies outside of the bundle.")
        if not path.is_file():
            raise BundleError(f"The bundle {str(folder)!r} lacks its file {name!r}. Export the model again.")
        if sha256(path) != known["sha256"]:
            raise BundleError(
                f"The file {name!r} of the bundle {str(folder)!r} is not the one that was written: its sha256 "
                "differs from the manifest's. Copy the bundle again, or export the model again."
            )


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

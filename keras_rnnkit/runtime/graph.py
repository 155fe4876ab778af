"""One ONNX file in onnxruntime, with what its metadata say of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from keras_rnnkit.runtime import inspection
from keras_rnnkit.runtime.errors import BundleError, InputError

DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(bool)": "bool",
}


class Graph:
    """A file written by `keras_rnnkit.export_onnx`; any other ONNX file runs too, without states.

    Arguments:
        path: of the file.
        threads: for each operator; one is best for small models, and lets many graphs run beside each other.
        providers: of onnxruntime, best first.

    mode: "sequence", "stream" or "generate". states: what the metadata say of each carried state.
    inputs, outputs: the names of those that are no states; defaults: of inputs that need not be given.
    """

    def __init__(self, path: str | Path, threads: int = 1, providers: list[str] | None = None):
        self.path = Path(path)
        self.session = open_session(self.path, threads, providers)
        self.facts = facts(self.session)
        self.mode = self.facts.get("mode", "sequence")
        self.states: list[dict[str, Any]] = self.facts.get("states", [])
        self.kinds = {value.name: DTYPES[value.type] for value in self.session.get_inputs()}
        self.shapes = {value.name: list(value.shape) for value in self.session.get_inputs()}
        carried = {state["input"] for state in self.states}, {state["output"] for state in self.states}
        self.inputs = [name for name in self.shapes if name not in carried[0]]
        self.results = [value.name for value in self.session.get_outputs()]
        self.outputs = [name for name in self.results if name not in carried[1]]
        self.defaults = [value.name for value in self.session.get_overridable_initializers()]

    def start(self, rows: int) -> dict[str, np.ndarray]:
        """The states with which as many rows begin."""
        return {s["input"]: np.full([rows, *s["shape"]], s["start"], s["dtype"]) for s in self.states}

    def run(self, feeds: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """The outputs by name, states included; InputError for what the graph does not take."""
        arrays = {name: self.checked(name, value) for name, value in feeds.items()}
        missing = [name for name in self.shapes if name not in arrays]
        if missing:
            raise InputError(
                f"The graph needs {', '.join(map(repr, missing))} too. Received: {', '.join(map(repr, arrays))}."
            )
        return self.run_checked(arrays)

    def run_checked(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """`run` for arrays that `checked` gave, and states that the graph itself gave."""
        return dict(zip(self.results, self.session.run(None, arrays), strict=True))

    def checked(self, name: str, value: Any) -> np.ndarray:
        """An input as the array that onnxruntime takes: empty ones would end the process in some operators."""
        if name not in self.kinds:
            known = ", ".join(map(repr, [*self.kinds, *self.defaults]))
            raise InputError(f"The graph has no input {name!r}. It takes {known}.")
        array = as_kind(name, value, self.kinds[name])
        expected = self.shapes[name]
        fits = array.ndim == len(expected) and all(
            given == wanted for given, wanted in zip(array.shape, expected, strict=True) if isinstance(wanted, int)
        )
        if not fits or 0 in array.shape:
            shape = ", ".join(map(str, expected))
            raise InputError(
                f"The input {name!r} has the shape [{shape}], none of it empty. Received: {list(array.shape)}."
            )
        return array


def as_kind(name: str, value: Any, kind: str) -> np.ndarray:
    """The value as an array of that dtype, if nothing is lost by it."""
    try:
        array = np.asarray(value)
        wanted = np.dtype(kind)
        numbers = array.dtype.kind in "iufb"
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"The input {name!r} is an array of {kind}. Received: {error}.") from error
    if (
        not numbers
        or (wanted.kind in "iu" and array.dtype.kind == "f")
        or (wanted.kind == "b") != (array.dtype.kind == "b")
    ):
        raise InputError(f"The input {name!r} is an array of {kind}. Received: one of {array.dtype}.")
    cast = array.astype(wanted, copy=False)
    if wanted.kind in "iu" and array.size and not np.array_equal(cast, array):
        raise InputError(
            f"The input {name!r} is an array of {kind}. Received: {array.max()}, which {kind} cannot hold."
        )
    return cast


def open_session(path: Path, threads: int, providers: list[str] | None) -> onnxruntime.InferenceSession:
    inspection.check(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers or ["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises kinds of its own that share no base
        raise BundleError(f"onnxruntime {onnxruntime.__version__} cannot load {str(path)!r}: {error}") from error


def facts(session: onnxruntime.InferenceSession) -> dict[str, Any]:
    """What keras_rnnkit wrote into the file's metadata."""
    known = session.get_modelmeta().custom_metadata_map
    return {
        key.removeprefix("keras_rnnkit."): json.loads(v) for key, v in known.items() if key.startswith("keras_rnnkit.")
    }

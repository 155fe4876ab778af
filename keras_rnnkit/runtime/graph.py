"""An ONNX file that onnxruntime runs, and what its metadata say about it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from keras_rnnkit.runtime.arrays import as_kind, check_axes, check_shape, check_tokens
from keras_rnnkit.runtime.errors import BundleError, InputError
from keras_rnnkit.runtime.inspection import checked_token_counts
from keras_rnnkit.runtime.schema import (
    SchemaError,
    anything,
    dict_of,
    integer,
    list_of,
    number,
    one_of,
    optional,
    record,
    text,
)

DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(int8)": "int8",
    "tensor(int16)": "int16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(uint8)": "uint8",
    "tensor(uint16)": "uint16",
    "tensor(uint32)": "uint32",
    "tensor(uint64)": "uint64",
    "tensor(bool)": "bool",
}
"""The NumPy dtype of each kind of tensor that onnxruntime takes as an array of numbers."""

STATE = record(
    {"input": text, "output": text, "shape": list_of(integer()), "dtype": one_of(*DTYPES.values()), "start": anything},
    {"layer": text},
)
FACTS = record(
    {},
    {
        "mode": text,
        "states": list_of(STATE),
        "tokens": text,
        "prompt_lengths": text,
        "strategy": text,
        "beams": integer(1),
        "end": optional(integer()),
        "forbidden": list_of(integer()),
        "defaults": dict_of(number),
    },
)
"""What keras_rnnkit writes into the metadata of a file."""


class Graph:
    """A file written by `keras_rnnkit.export_onnx`; any other ONNX file runs too, without states.

    Arguments:
        path: of the file.
        threads: for each operator; one is best for small models, and lets many graphs run beside each other.
        providers: of onnxruntime, best first.
        content: the bytes of the file, where they have been read already.

    mode: "sequence", "stream" or "generate". states: what the metadata say of each carried state.
    inputs, outputs: the names of those that are no states; defaults: of inputs that may be left out.
    kinds, shapes: the dtype and the axes of each input that must be there. token_counts: for each input of tokens, how
    many tokens the model knows, where the graph shows it.
    """

    def __init__(
        self,
        path: str | Path,
        threads: int = 1,
        providers: list[str] | None = None,
        content: bytes | None = None,
    ):
        self.path = Path(path)
        content = file_content(self.path) if content is None else content
        self.token_counts = checked_token_counts(content, str(path))
        self.session = open_session(content, str(path), threads, providers)
        self.facts = facts(self.session, str(path))
        self.mode = self.facts.get("mode", "sequence")
        self.states: list[dict[str, Any]] = self.facts.get("states", [])
        required, optional = self.session.get_inputs(), self.session.get_overridable_initializers()
        self.kinds = {value.name: dtype_of(value, str(path)) for value in required}
        self.shapes = {value.name: list(value.shape) for value in required}
        self.defaults = [value.name for value in optional]
        self._kinds = self.kinds | {value.name: dtype_of(value, str(path)) for value in optional}
        self._shapes = self.shapes | {value.name: list(value.shape) for value in optional}
        carried = {state["input"] for state in self.states}, {state["output"] for state in self.states}
        self.inputs = [name for name in self.shapes if name not in carried[0]]
        self.results = [value.name for value in self.session.get_outputs()]
        self.outputs = [name for name in self.results if name not in carried[1]]
        self._check_states()

    def _check_states(self) -> None:
        """BundleError if the metadata name states that the graph does not have, or give them another shape."""
        for state in self.states:
            there = self.shapes.get(state["input"]), state["output"] in self.results
            if there[0] is None or there[0][1:] != state["shape"] or not there[1]:
                raise BundleError(
                    f"The metadata of {str(self.path)!r} name a state {state['input']!r} of shape {state['shape']}, "
                    "which the graph does not carry. Export the model again."
                )
        try:
            self.start(1)
        except (ValueError, TypeError) as error:
            raise BundleError(
                f"The metadata of {str(self.path)!r} give a state a start of the wrong shape: {error}. Export the "
                "model again."
            ) from error

    def start(self, rows: int) -> dict[str, np.ndarray]:
        """The initial states of that many rows."""
        return {s["input"]: np.full([rows, *s["shape"]], s["start"], s["dtype"]) for s in self.states}

    def run(self, feeds: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """The outputs by name, states included.

        Arguments:
            feeds: a value for each input by name, the states among them; those in `defaults` may be left out.

        Raises InputError for what the graph does not take.
        """
        return self.run_arrays({name: self.checked(name, value) for name, value in feeds.items()})

    def run_arrays(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """`run` for arrays that `checked` or the graph itself returned: only their shapes must fit together."""
        missing = [name for name in self.shapes if name not in arrays]
        if missing:
            raise InputError(
                f"The graph needs {', '.join(map(repr, missing))} too. Received: {', '.join(map(repr, arrays))}."
            )
        check_axes(arrays, self._shapes)
        try:
            return self.run_checked(arrays)
        except Exception as error:  # onnxruntime raises classes of its own that share no base
            raise InputError(f"The graph {self.path.name!r} cannot run on these inputs: {error}") from error

    def run_checked(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """`run_arrays` without any check, for callers that have made sure that the arrays fit together."""
        return dict(zip(self.results, self.session.run(None, arrays), strict=True))

    def checked(self, name: str, value: Any) -> np.ndarray:
        """A value as the array that onnxruntime takes for an input.

        Raises InputError for another shape or dtype, for tokens that the model does not know, and for empty arrays,
        with which onnxruntime's LSTM and GRU end the process.
        """
        if name not in self._kinds:
            names = ", ".join(map(repr, [*self.kinds, *self.defaults]))
            raise InputError(f"The graph has no input {name!r}. It takes {names}.")
        array = as_kind(name, value, self._kinds[name])
        check_shape(name, array, self._shapes[name])
        if name in self.token_counts:
            check_tokens(name, array, self.token_counts[name])
        return array


def file_content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise BundleError(f"There is no graph {str(path)!r}: {getattr(error, 'strerror', error)}.") from error


def open_session(content: bytes, where: str, threads: int, providers: list[str] | None) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content, options, providers=providers or ["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises classes of its own that share no base
        raise BundleError(f"onnxruntime {onnxruntime.__version__} cannot load {where!r}: {error}") from error


def facts(session: onnxruntime.InferenceSession, where: str) -> dict[str, Any]:
    """What keras_rnnkit wrote into the file's metadata."""
    prefix = "keras_rnnkit."
    try:
        entries = session.get_modelmeta().custom_metadata_map.items()
        found = {key.removeprefix(prefix): json.loads(value) for key, value in entries if key.startswith(prefix)}
        FACTS(found, "metadata")
    except (ValueError, RecursionError) as error:
        hint = "" if isinstance(error, SchemaError) else "they are not JSON: "
        raise BundleError(
            f"The metadata of {where!r} cannot be used: {hint}{error}. Export the model again."
        ) from error
    return found


def dtype_of(value: Any, where: str) -> str:
    """The dtype of an input as onnxruntime describes it."""
    if value.type not in DTYPES:
        raise BundleError(
            f"The input {value.name!r} of {where!r} is a {value.type}, and this runtime passes arrays of numbers only. "
            "Run the file with onnxruntime itself."
        )
    return DTYPES[value.type]

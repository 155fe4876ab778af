"""In which layer a difference begins."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_rnnkit.export.checking.comparison import Arrays
from keras_rnnkit.export.checking.layers import is_eager
from keras_rnnkit.export.checking.sessions import File
from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.graph import Graph, graph_of
from keras_rnnkit.export.reading.hooks.layer_hooks import LayerHooks
from keras_rnnkit.export.reading.hooks.output_recorder import Call, OutputRecorder
from keras_rnnkit.export.reading.model_calls import ModelCall
from keras_rnnkit.export.reading.names import layer_paths

Drive = Callable[[File], list[Arrays]]
"""Runs a file over one sample, and returns its outputs chunk by chunk."""
CLOSE = 1e-4
"""How near two arrays are, in proportion to the range of their values, that are taken for the same."""


def culprit(content: bytes, graph: Graph, calls: list[Call], drive: Drive, closeness: float = CLOSE) -> str:
    """A sentence with the layer in which the difference begins.

    content: the file that differs. graph: what it was written from. calls: those of Keras' layers on the sample, in
    the order in which they ended. drive: runs a file over the sample.
    """
    try:
        sentence = missing_in_file(content, graph, calls, drive, closeness)
        sentence = sentence or first_in_trace(graph, calls, drive, closeness)
    except ExportError as error:
        return f"In which layer it begins could not be determined: {error}"
    return sentence or "Every layer agrees, so it arises outside of them."


def missing_in_file(content: bytes, graph: Graph, calls: list[Call], drive: Drive, closeness: float) -> str | None:
    """The first layer whose output is computed by the graph, but nowhere in the file that was written from it."""
    original = graph.model.SerializeToString()
    if content == original:
        return None
    in_graph, in_file = (Values(drive(File(bytes_).showing()), closeness) for bytes_ in (original, content))
    for call in calls:
        for expected in eager_outputs(call):
            if in_graph.have(expected) and not in_file.have(expected):
                return f"It begins in the layer {call.path!r}, whose output is not computed by the file."
    return None


def first_in_trace(graph: Graph, calls: list[Call], drive: Drive, closeness: float) -> str | None:
    """The first layer that computes something else in a graph with the outputs of all layers."""
    if not graph.retrace:
        return None
    every = EveryLayer(graph.model_call)
    watching = graph_of(every, **graph.settings)
    chunks = drive(File(watching.model.SerializeToString()))
    expected = numbered(calls)
    for name in sorted(set(chunks[0]) & set(every.positions())):
        array, pieces = expected.get(every.positions()[name]), [chunk[name] for chunk in chunks]
        candidates = list(joined(pieces, array)) if array is not None else []
        if array is not None and candidates and not any(close(array, x, closeness) for x in candidates):
            error = min(largest(array, x) for x in candidates)
            return f"It begins in the layer {every.path(name)!r}, whose output differs by {error:.3g}."
    return None


def eager_outputs(call: Call) -> list[np.ndarray]:
    return [np.asarray(keras.ops.convert_to_numpy(x)) for x in call.wrote if is_eager(x)]


def numbered(calls: list[Call]) -> dict[tuple[str, int, int], np.ndarray]:
    """What layers returned, by path, number of the call, and number of the output; of layers in loops, nothing."""
    counts: Counter[str] = Counter()
    outputs = {}
    for call in calls:
        for j, tensor in enumerate(call.wrote):
            if is_eager(tensor):
                outputs[call.path, counts[call.path], j] = np.asarray(keras.ops.convert_to_numpy(tensor))
        counts[call.path] += 1
    return outputs


class EveryLayer:
    """A model_call that returns what the layers wrote, by numbers in the order in which they ended."""

    def __init__(self, model_call: ModelCall):
        self.model_call = model_call
        self.mode, self.model, self.signature, self.states = (
            model_call.mode,
            model_call.model,
            model_call.signature,
            model_call.states,
        )
        self.paths: list[str] = []

    def run(self, inputs: list[Any], states: list[Any], hooks: LayerHooks) -> tuple[Any, list[Any]]:
        recorder = OutputRecorder(layer_paths(self.model))
        with recorder.recording():
            _, after = self.model_call.run(inputs, states, hooks)
        self.paths = [call.path for call in recorder.calls]
        wrote = {
            f"{i:06d}_{j}": tensor
            for i, call in enumerate(recorder.calls)
            for j, tensor in enumerate(call.wrote)
            if belongs_here(tensor)
        }
        return wrote, after

    def path(self, name: str) -> str:
        return self.paths[int(name.split("_")[0])]

    def positions(self) -> dict[str, tuple[str, int, int]]:
        """By the name of an output: the path of its layer, the number of the call, the number of the output."""
        counts: Counter[str] = Counter()
        positions: dict[str, tuple[str, int, int]] = {}
        for i, path in enumerate(self.paths):
            positions |= {f"{i:06d}_{j}": (path, counts[path], j) for j in range(8)}
            counts[path] += 1
        return positions


def belongs_here(tensor) -> bool:
    """Not to the graph inside a loop, which nobody outside can read."""
    return tf.executing_eagerly() or tensor.graph is tf.compat.v1.get_default_graph()


class Values:
    """All arrays that a file computes on a sample, to be searched by value."""

    def __init__(self, chunks: list[Arrays], closeness: float):
        self.closeness = closeness
        self.by_size: dict[int, list[list[np.ndarray]]] = defaultdict(list)
        for name in chunks[0]:
            pieces = [chunk[name] for chunk in chunks]
            for size in {pieces[-1].size, sum(piece.size for piece in pieces)}:
                self.by_size[size].append(pieces)

    def have(self, expected: np.ndarray) -> bool:
        if not spread(expected):
            return False
        return any(
            close(expected, candidate, self.closeness)
            for pieces in self.by_size[expected.size]
            for candidate in joined(pieces, expected)
        )


def joined(pieces: list[np.ndarray], like: np.ndarray) -> Iterator[np.ndarray]:
    """The ways in which a value of each chunk may be one of the whole: the last, or all of them side by side."""
    if pieces[-1].size == like.size:
        yield pieces[-1]
    if len(pieces) > 1 and sum(piece.size for piece in pieces) == like.size:
        axes = [axis for axis in range(pieces[0].ndim) if pieces[0].ndim == like.ndim]
        for axis in axes:
            shapes = {tuple(np.delete(piece.shape, axis)) for piece in pieces}
            if len(shapes) == 1:
                yield np.concatenate(pieces, axis=axis)


def close(expected: np.ndarray, actual: np.ndarray, closeness: float) -> bool:
    """Whether two arrays have the same values; in another order only where their axes are in another order."""
    if expected.size != actual.size:
        return False
    a, b = expected.astype(np.float64).ravel(), actual.astype(np.float64).ravel()
    if expected.shape != actual.shape and sorted(expected.shape) == sorted(actual.shape):
        a, b = np.sort(a), np.sort(b)
    return bool(np.allclose(a, b, rtol=0, atol=closeness * spread(expected), equal_nan=True))


def largest(expected: np.ndarray, actual: np.ndarray) -> float:
    with np.errstate(invalid="ignore"):
        return float(np.max(np.abs(expected.astype(float).ravel() - actual.astype(float).ravel()), initial=0.0))


def spread(x: np.ndarray) -> float:
    finite = x[np.isfinite(x)].astype(np.float64) if x.dtype.kind != "b" else x.astype(np.float64)
    return float(np.ptp(finite)) if finite.size else 0.0

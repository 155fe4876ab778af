"""The graph of a stream, run chunk by chunk in onnxruntime, against Keras on the whole."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from keras import tree

from keras_rnnkit.export.checking.comparison import difference, session
from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.graph import Graph
from keras_rnnkit.export.reading.causality import CHUNKS, ROWS, chunks, joined, sample, start_rows
from keras_rnnkit.export.reading.streaming import forgetting


def verify_chunks(graph: Graph, tolerance: float) -> float:
    """The largest absolute error of all outputs; ExportError if it is more than the tolerance."""
    model, signature = graph.model_call.model, graph.model_call.signature
    inputs = sample(model, signature)
    with tf.device("/CPU:0"), forgetting(model):
        expected = [np.asarray(y) for y in tree.flatten(signature.call(model, inputs))]
    found = in_chunks(graph, list(chunks(signature, inputs)))
    errors = [difference(a, joined(parts)) for a, parts in zip(expected, found, strict=True)]
    worst = max(range(len(errors)), key=lambda i: errors[i][1])
    if errors[worst][1] > tolerance:
        raise ExportError(
            f"The stream is not exact: over chunks of {', '.join(map(str, CHUNKS))} steps the output "
            f"{graph.model.graph.output[worst].name!r} differs from Keras' on the whole by {errors[worst][0]:.3g}, "
            f"allowed are {tolerance:g}. No file was written; a larger tolerance= accepts the graph."
        )
    return max(error for error, _ in errors)


def in_chunks(graph: Graph, parts: list[list[np.ndarray]]) -> list[list[np.ndarray]]:
    """For each output its value at every chunk, the states handed on from one to the next."""
    runner = session(graph.model)
    states = {given: start_rows(s, ROWS) for (given, _), s in zip(graph.states, graph.model_call.states, strict=True)}
    names, runs = [spec.name for spec in graph.model_call.signature.inputs], []
    for part in parts:
        values = runner.run(None, {**dict(zip(names, part, strict=True)), **states})
        outputs, after = values[: len(values) - len(states)], values[len(values) - len(states) :]
        states = dict(zip(states, after, strict=True))
        runs.append(outputs)
    return [list(values) for values in zip(*runs, strict=True)]

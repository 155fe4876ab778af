"""Keras and onnxruntime side by side, and which layer it is where they differ."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime
import tensorflow as tf
from keras import tree
from onnx import ModelProto, helper

from keras_rnnkit.export.checking.culprit import EveryLayer, first_difference
from keras_rnnkit.export.checking.probes import Probe
from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.graph import Graph, graph_of
from keras_rnnkit.export.reading.layer_hooks import LayerHooks
from keras_rnnkit.export.tracing.tensorflow_graph import first_lines


@dataclass
class Measured:
    """Differences found, None if none were looked for; `runs`: what went in and came out of the graph.

    layers: by the name of a recurrence, that of its output.
    """

    error: float | None = None
    runs: list[tuple[list[np.ndarray], list[np.ndarray]]] = field(default_factory=list)
    layers: dict[str, float] = field(default_factory=dict)


class Recorder(LayerHooks):
    """Lets recurrent layers run as they do, and keeps what each wrote."""

    def __init__(self, names: dict[int, str]):
        super().__init__(names)
        self.wrote: dict[str, Any] = {}

    def run_recurrence(self, layer, name, original, sequences, initial_state, mask, training):
        last, outputs, states = original(layer, sequences, initial_state, mask, training=training)
        self.wrote[name] = outputs if layer.return_sequences else last
        return last, outputs, states


def session(model: ModelProto | bytes) -> onnxruntime.InferenceSession:
    """An onnxruntime session on one thread, without remarks."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    content = model if isinstance(model, bytes) else model.SerializeToString()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def verify(graph: Graph, probes: list[Probe], tolerance: float) -> Measured:
    """Run every probe through both; an error above the tolerance raises ExportError and names the layer.

    A size that Keras itself refuses (a convolution wider than a single step) is left out.
    """
    measured, failures = Measured(), []
    graph_runs, watched = session(graph.model), Watched(graph)
    for probe in probes:
        recorder = Recorder(graph.names)
        try:
            with tf.device("/CPU:0"):
                outputs, states = graph.model_call.run(probe.inputs, probe.states, recorder)
        except Exception as error:
            failures.append(f"{type(error).__name__}: {first_lines(error)}")
            continue
        found = run(graph_runs, graph, probe)
        expected = [np.asarray(y) for y in [*tree.flatten(outputs), *states]]
        errors = [difference(a, b) for a, b in zip(expected, found, strict=True)]
        exact = all(scaled <= tolerance for _, scaled in errors)
        if not measured.runs or not exact:
            watched.measure(probe, recorder, measured)
        measured.runs.append(([*probe.inputs, *probe.states], found))
        measured.error = max([measured.error or 0.0, *(error for error, _ in errors)])
        if not exact:
            refuse(graph, probe, errors, tolerance)
    if not measured.runs:
        raise ExportError(
            f"Keras runs the model on none of the inputs made up to verify it. The first error: {failures[0]}"
        )
    return measured


def only_run(graph: Graph, probes: list[Probe]) -> Measured:
    """Run the graph without Keras beside it, which tells only that it can be run and how long its outputs are."""
    measured, runner, failure = Measured(), session(graph.model), None
    for probe in probes:
        try:
            measured.runs.append(([*probe.inputs, *probe.states], run(runner, graph, probe)))
        except ExportError as error:
            failure = error
    if failure and not measured.runs:
        raise failure
    return measured


def run(runner, graph: Graph, probe: Probe) -> list[np.ndarray]:
    names = [i.name for i in graph.model.graph.input]
    try:
        return runner.run(None, dict(zip(names, [*probe.inputs, *probe.states], strict=True)))
    except Exception as error:
        raise ExportError(f"onnxruntime does not run the graph on inputs {probe.size}: {first_lines(error)}") from error


def refuse(graph: Graph, probe: Probe, errors, tolerance: float) -> None:
    worst = max(range(len(errors)), key=lambda i: errors[i][1])
    raise ExportError(
        f"The graph is not exact: its output {graph.model.graph.output[worst].name!r} differs from Keras' by "
        f"{errors[worst][0]:.3g}, allowed are {tolerance:g} (inputs {probe.size}). {culprit(graph, probe, tolerance)} "
        "No file was written; a larger tolerance= accepts the graph, another lowering= writes it in another way."
    )


def culprit(graph: Graph, probe: Probe, tolerance: float) -> str:
    """Where the difference begins."""
    model_call = EveryLayer(graph.model_call)
    try:
        watching = graph_of(model_call, **graph.settings)
    except ExportError as error:
        return f"In which layer it begins could not be found: {error}"
    names = [value.name for value in watching.model.graph.output]
    found = dict(zip(names, run(session(watching.model), watching, probe), strict=True))
    with tf.device("/CPU:0"):
        expected, _ = model_call.run(probe.inputs, probe.states, LayerHooks({}))

    def differs(a: np.ndarray, b: np.ndarray) -> float | None:
        error, scaled = difference(a, b)
        return error if scaled > tolerance else None

    return first_difference(model_call, expected, found, differs) or "Every layer agrees, so it arises outside of them."


def difference(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """The largest absolute difference, and the same in proportion to the largest expected value if that is above 1."""
    if a.shape != b.shape:
        return float("inf"), float("inf")
    if not a.size:
        return 0.0, 0.0
    a, b = a.astype(np.float64), b.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        error = float(np.max(np.where(same, 0.0, np.abs(a - b))))
    finite = a[np.isfinite(a)]
    return error, error / max(1.0, float(np.max(np.abs(finite), initial=0.0)))


class Watched:
    """The graph with what its recurrences write as further outputs."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self.runner: Any = None
        self.extra: list[str] = []

    def measure(self, probe: Probe, recorder: Recorder, measured: Measured) -> None:
        if self.runner is None:
            self.runner = session(self._watching())
        values = run(self.runner, self.graph, probe)[len(self.graph.model.graph.output) :]
        for name, value in zip(self.extra, values, strict=True):
            error, _ = difference(np.asarray(recorder.wrote[name]), value)
            measured.layers[name] = max(measured.layers.get(name, 0.0), error)

    def _watching(self) -> ModelProto:
        model = ModelProto()
        model.CopyFrom(self.graph.model)
        written = {name for node in model.graph.node for name in node.output}
        for lowered in self.graph.lowered:
            if lowered.outputs[0] in written:
                dtype = helper.np_dtype_to_tensor_dtype(lowered.recurrence.dtype)
                copy = f"watched_{len(self.extra)}"
                model.graph.node.append(helper.make_node("Identity", [lowered.outputs[0]], [copy]))
                model.graph.output.append(helper.make_tensor_value_info(copy, dtype, None))
                self.extra.append(lowered.recurrence.name)
        return model

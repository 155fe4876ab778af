"""`export_onnx`: one verified ONNX file from any Keras model with recurrent layers."""

from __future__ import annotations

import os
import time
from typing import Any

import keras
import onnx

from keras_rnnkit.export import files
from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.forms import Whole
from keras_rnnkit.export.lowering import CHOICES
from keras_rnnkit.export.report import ExportReport, Row

OPSET = 18
MODES = ("sequence", "stream")


def export_onnx(
    model: Any,
    path: str | os.PathLike,
    *,
    mode: str = "sequence",
    opset: int = OPSET,
    inputs: Any = None,
    input_names: list[str] | None = None,
    batch: int | None = None,
    lowering: str = "auto",
    verify: bool = True,
    tolerance: float = 1e-5,
) -> ExportReport:
    """Writes a model as one ONNX file with native LSTM, GRU and RNN operators, and verifies it against Keras.

    Takes any built Keras model, stock recurrent layers and ours, masks, states and wrappers included. A cell that has
    no operator of its own becomes a Scan, its projection before the loop. Mixed precision is computed in float32.
    The states of stateful layers are inputs `state_0`, ... and outputs `next_state_0`, ...

    Arguments:
        path: of the file; it appears only when all is well.
        mode: "sequence" for whole sequences, or "stream" for one chunk of any length of a causal model: all recurrent
            states, and what causal convolutions look back at, are inputs and outputs; their pairs and the values that
            a stream starts with stand in the file's metadata. A model that cannot stream is refused with the reason.
        opset: of ONNX.
        inputs: arrays as the model takes them, or keras.InputSpec with a name, shape (None for a free axis) and dtype;
            for subclassed models that take several arguments, or were first called with something else.
        input_names: names for the graph's inputs in place of the model's own.
        batch: the number of rows the graph will run, where it is known: it decides between operators that are fast
            for few rows and for many.
        lowering: "auto", "native" (an ONNX operator wherever one is exact), or "scan" (never one).
        verify: run Keras and onnxruntime side by side on inputs of several sizes, with masks of every shape.
        tolerance: the largest difference allowed, in proportion to the largest output where that is above 1.

    Returns a report; print it for a table.

    >>> import os, tempfile, keras_rnnkit as rk
    >>> model = keras.Sequential([keras.Input((None, 3), name="x"), keras.layers.GRU(4, name="reader")])
    >>> report = rk.export_onnx(model, os.path.join(tempfile.mkdtemp(), "model.onnx"))
    >>> [(row.layer, row.lowering) for row in report.rows], report.error < 1e-5, report.outputs
    ([('reader', 'GRU')], True, {'reader': ['batch', 4]})
    """
    started = time.perf_counter()
    require_tensorflow()
    from keras_rnnkit.export.graph import check_opset
    from keras_rnnkit.export.precision import computing_in_float32
    from keras_rnnkit.export.signature import check

    check(model)
    check_choice("mode", mode, MODES)
    check_choice("lowering", lowering, CHOICES)
    check_opset(opset)
    destination = files.checked(path)
    notes: list[str] = []
    settings = {"opset": opset, "prefer": lowering, "batch": batch}
    with computing_in_float32(model) as changed:
        graph = traced(model, mode, inputs, input_names, settings, notes)
        measured = tried(graph, tolerance, verify)
    if changed:
        notes.append("The model computes in 16 bits; the graph computes in float32 and was compared in float32.")
    content = serialized(graph.model)
    files.write(destination, content)
    return report(
        graph, measured, str(destination), len(content), time.perf_counter() - started, opset, tolerance, notes
    )


def traced(model, mode: str, inputs, input_names, settings, notes: list[str]):
    """The graph of a model: with free steps if it can be traced so, otherwise as it was first called."""
    from keras_rnnkit.export.causality import stream_of
    from keras_rnnkit.export.graph import graph_of
    from keras_rnnkit.export.signature import guesses_axes, signature_of

    signature = signature_of(model, inputs, input_names)
    if mode == "stream":
        return graph_of(stream_of(model, signature), **settings)
    try:
        return graph_of(Whole(model, signature), **settings)
    except ExportError:
        if not guesses_axes(model, inputs):
            raise
        signature = signature_of(model, input_names=input_names, as_called=True)
        graph = graph_of(Whole(model, signature), **settings)
    shapes = ", ".join(f"{spec.name} {list(spec.shape)}" for spec in signature.inputs)
    notes.append(f"The model cannot be traced with a free number of steps; it takes {shapes}, as it was first called.")
    return graph


def tried(graph, tolerance: float, verify: bool):
    """The measurements of a verified graph, or None; either way the graph has run, and its outputs' axes are named."""
    from keras_rnnkit.export import verify as side_by_side
    from keras_rnnkit.export.chunked import verify_chunks
    from keras_rnnkit.export.finish import name_output_axes
    from keras_rnnkit.export.probes import probes

    tries = probes(graph.form)
    measured = side_by_side.verify(graph, tries, tolerance) if verify else side_by_side.only_run(graph, tries)
    if verify and graph.form.mode == "stream":
        measured.error = max(measured.error or 0.0, verify_chunks(graph, tolerance))
    name_output_axes(graph.model, measured.runs)
    return measured


def report(graph, measured, path, size, seconds, opset, tolerance, notes) -> ExportReport:
    from keras_rnnkit.export.finish import axes, every_node

    rows = [
        Row(
            layer=lowered.site.name,
            lowering=", ".join(lowered.lowerings),
            reason="; ".join(dict.fromkeys(lowered.reasons)),
            nodes=lowered.nodes,
            error=measured.layers.get(lowered.site.name),
        )
        for lowered in graph.lowered
    ]
    rows += [Row(left.name, "as traced", left.reason, 0) for left in graph.left]
    return ExportReport(
        path=path,
        rows=rows,
        error=measured.error,
        tolerance=tolerance,
        opset=opset,
        size=size,
        nodes=sum(1 for _ in every_node(graph.model.graph)),
        seconds=seconds,
        inputs={value.name: axes(value) for value in graph.model.graph.input},
        outputs={value.name: axes(value) for value in graph.model.graph.output},
        states=graph.states,
        notes=notes,
    )


def serialized(model: onnx.ModelProto) -> bytes:
    if model.ByteSize() > files.LIMIT:
        raise ExportError(
            f"The graph has {model.ByteSize() / 1e9:.1f} GB, and a one-file ONNX graph may have 2.1 GB. Export the "
            "parts of the model by themselves."
        )
    return model.SerializeToString()


def require_tensorflow() -> None:
    if keras.backend.backend() != "tensorflow":
        raise ExportError(
            f"Export traces the model with TensorFlow. Received: KERAS_BACKEND={keras.backend.backend()!r}. Save the "
            "model, then load and export it in a process with KERAS_BACKEND=tensorflow."
        )


def check_choice(argument: str, choice: str, known: tuple[str, ...]) -> None:
    if choice not in known:
        raise ExportError(f"Received: {argument}={choice!r}. Expected one of {', '.join(map(repr, known))}.")

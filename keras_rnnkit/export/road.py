"""A model becomes the content of an ONNX file, with a report of what was done."""

from __future__ import annotations

import time
from dataclasses import replace

import onnx

from keras_rnnkit.export import files
from keras_rnnkit.export.checking.chunk_check import verify_chunks
from keras_rnnkit.export.checking.comparison import Measured, only_run, verify
from keras_rnnkit.export.checking.latency import beside_stock
from keras_rnnkit.export.checking.probes import probes
from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.generating.generation import decoding, generation
from keras_rnnkit.export.generating.generation_check import tokens_and_scores, verify_generation
from keras_rnnkit.export.graph import Graph, graph_of
from keras_rnnkit.export.reading.causality import stream_of
from keras_rnnkit.export.reading.model_calls import SequenceCall
from keras_rnnkit.export.reading.precision import computing_in_float32
from keras_rnnkit.export.reading.signature import check, guesses_axes, signature_of
from keras_rnnkit.export.report import ExportReport, Row
from keras_rnnkit.export.settings import Settings
from keras_rnnkit.export.writing.finish import axes, every_node, name_output_axes
from keras_rnnkit.export.writing.quantization import quantized
from keras_rnnkit.timing import Times, machine


def made(model, settings: Settings) -> tuple[bytes, ExportReport]:
    """The content of a file that has been verified, and the report, whose path is empty."""
    started = time.perf_counter()
    check(model)
    notes: list[str] = []
    with computing_in_float32(model) as changed:
        settings.progress("tracing")
        graph = traced(model, settings, notes)
        settings.progress("verifying" if settings.verify else "running")
        measured = tried(graph, settings)
        rough = None
        if settings.quantize:
            settings.progress(f"quantizing to {settings.quantize}")
            model_in_few_bits, rough = quantized(graph, settings.quantize, settings.calibration, settings.max_error)
            graph = replace(graph, model=model_in_few_bits)
        if settings.mode == "generate":
            settings.progress("writing the loop")
            graph, measured.error = generating(graph, settings, measured)
    if changed:
        notes.append("The model computes in 16 bits; the graph computes in float32 and was compared in float32.")
    content = serialized(graph.model)
    described = report(graph, measured, settings, len(content), time.perf_counter() - started, notes)
    latency = None
    if settings.compare:
        settings.progress("timing it beside Keras' own export")
        latency = in_words(*beside_stock(graph.model_call, content))
    return content, replace(described, quantized=settings.quantize, quantized_error=rough, latency=latency)


def in_words(ours: Times, stock: Times | None, why: str) -> str:
    if stock is None:
        return f"A run takes {ours}; Keras' own export fails: {why}"
    ratio = stock.median / ours.median
    return f"A run takes {ours}; of Keras' own export {stock}, {ratio:.2f} times as long ({machine('onnxruntime')})"


def traced(model, settings: Settings, notes: list[str]) -> Graph:
    """The graph of a model: with free steps if it can be traced so, otherwise as it was first called."""
    signature = signature_of(model, settings.inputs, settings.input_names)
    if settings.mode in ("stream", "generate"):
        return graph_of(stream_of(model, signature), **settings.of_graph)
    try:
        return graph_of(SequenceCall(model, signature), **settings.of_graph)
    except ExportError:
        if not guesses_axes(model, settings.inputs):
            raise
        signature = signature_of(model, input_names=settings.input_names, as_called=True)
        graph = graph_of(SequenceCall(model, signature), **settings.of_graph)
    shapes = ", ".join(f"{spec.name} {list(spec.shape)}" for spec in signature.inputs)
    notes.append(f"The model cannot be traced with a free number of steps; it takes {shapes}, as it was first called.")
    return graph


def generating(step: Graph, settings: Settings, measured: Measured) -> tuple[Graph, float | None]:
    """The graph of the token loop around a step, and the largest error of its scores.

    Quantised weights may well choose other tokens than Keras; of them the error of the step tells.
    """
    how = decoding(settings.strategy, settings.end, tokens_and_scores(step.model_call))
    proto = generation(step, how)
    comparable = settings.verify and not settings.quantize
    error = verify_generation(step.model_call, proto, how) if comparable else measured.error
    return replace(step, model=proto, states=[]), error


def tried(graph: Graph, settings: Settings) -> Measured:
    """The measurements of a verified graph, or none; either way the graph has run, and its outputs' axes are named."""
    tries = probes(graph.model_call)
    measured = verify(graph, tries, settings.tolerance) if settings.verify else only_run(graph, tries)
    if settings.verify and graph.model_call.mode == "stream":
        measured.error = max(measured.error or 0.0, verify_chunks(graph, settings.tolerance))
    name_output_axes(graph.model, measured.runs)
    return measured


def report(graph: Graph, measured: Measured, settings: Settings, size: int, seconds: float, notes) -> ExportReport:
    rows = [
        Row(
            layer=lowered.recurrence.name,
            lowering=", ".join(lowered.lowerings),
            reason="; ".join(dict.fromkeys(lowered.reasons)),
            nodes=lowered.nodes,
            error=measured.layers.get(lowered.recurrence.name),
        )
        for lowered in graph.lowered
    ]
    rows += [Row(left.name, "as traced", left.reason, 0) for left in graph.left]
    return ExportReport(
        mode=settings.mode,
        rows=rows,
        error=measured.error,
        tolerance=settings.tolerance,
        opset=settings.opset,
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

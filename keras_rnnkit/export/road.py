"""The road: a model becomes the bytes of an ONNX file, which were checked, with a report."""

from __future__ import annotations

import time
from typing import Any

import onnx

from keras_rnnkit import keras_internals
from keras_rnnkit.export.checking.file_check import Verified
from keras_rnnkit.export.checking.latency import beside_stock
from keras_rnnkit.export.drafts import Drafts
from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.generating.generation import Generations
from keras_rnnkit.export.modes import Sequences, Streams
from keras_rnnkit.export.reading.precision import LOW, computing_in_float32
from keras_rnnkit.export.reading.signature import check
from keras_rnnkit.export.report import ExportReport, Row
from keras_rnnkit.export.saving import files
from keras_rnnkit.export.settings import Settings
from keras_rnnkit.export.writing.finish import axes, every_node
from keras_rnnkit.export.writing.quantization import weights_of
from keras_rnnkit.timing import Times, machine

MODES = {file.mode: file for file in (Sequences, Streams, Generations)}


def export(model: Any, settings: Settings, drafts: Drafts | None = None) -> tuple[bytes, ExportReport]:
    """The bytes of a checked file, for the caller to write, and a report whose path is empty.

    drafts: of the other files of the same bundle.
    """
    check(model)
    return along(MODES[settings.mode](model, settings, drafts or Drafts()))


def along(file: Sequences) -> tuple[bytes, ExportReport]:
    """model -> read -> trace -> lower -> finish -> (quantize) -> serialize -> check those bytes."""
    started, tell = time.perf_counter(), file.settings.progress
    dtypes = {layer.compute_dtype for layer in keras_internals.flatten_layers(file.model)} & set(LOW)
    with computing_in_float32(file.model):
        tell("tracing")
        file.graph()
        if file.settings.quantize:
            tell(f"quantizing to {file.settings.quantize}")
        proto = file.written()
        content = serialized(proto)
        tell("verifying" if file.settings.verify else "running")
        verified, rough = file.check(content)
    if dtypes:
        file.check_16_bits(content, dtypes)
    return content, report(file, proto, content, verified, rough, dtypes, started)


def serialized(model: onnx.ModelProto) -> bytes:
    if model.ByteSize() > files.LIMIT:
        raise ExportError(
            f"The graph has {model.ByteSize() / 1e9:.1f} GB, and a one-file ONNX graph may have 2.1 GB. Export the "
            "parts of the model by themselves."
        )
    return model.SerializeToString()


def report(file: Sequences, proto, content: bytes, verified: Verified, rough, dtypes, started) -> ExportReport:
    graph, settings, weights = file.graph(), file.settings, weights_of(proto, file.graph().lowered)
    rows = [
        Row(
            layer=lowered.recurrence.name,
            lowering=", ".join(lowered.lowerings),
            reason="; ".join(dict.fromkeys(lowered.reasons)),
            nodes=lowered.nodes,
            error=verified.layers.get(lowered.recurrence.name),
            weights=weights[lowered.recurrence.name],
        )
        for lowered in graph.lowered
    ]
    rows += [Row(left.name, "as traced", left.reason, 0) for left in graph.left]
    return ExportReport(
        mode=file.mode,
        rows=rows,
        error=verified.error,
        tolerance=settings.tolerance,
        opset=settings.opset,
        size=len(content),
        nodes=sum(1 for _ in every_node(proto.graph)),
        seconds=time.perf_counter() - started,
        inputs={value.name: axes(value) for value in proto.graph.input},
        outputs={value.name: axes(value) for value in proto.graph.output},
        states=[] if file.mode == "generate" else graph.states,
        notes=list(dict.fromkeys([*file.trace().notes, *verified.notes, *file.notes, *notes(settings, rows, dtypes)])),
        quantized=settings.quantize,
        quantized_error=rough,
        latency=latency(file, content) if settings.compare else None,
    )


def notes(settings: Settings, rows: list[Row], dtypes: set[str]) -> list[str]:
    sentences = []
    if dtypes:
        sentences.append("The model computes in 16 bits; the graph computes in float32 and was compared in float32.")
    kept = [row for row in rows if settings.quantize and row.weights != settings.quantize]
    for dtype in dict.fromkeys(row.weights for row in kept):
        layers = ", ".join(repr(row.layer) for row in kept if row.weights == dtype)
        sentences.append(f"The weights of {layers} stay in {dtype}.")
    return sentences


def latency(file: Sequences, content: bytes) -> str:
    file.settings.progress("timing it beside Keras' own export")
    return in_words(*beside_stock(file.trace().model_call, content))


def in_words(ours: Times, stock: Times | None, why: str) -> str:
    if stock is None:
        return f"A run takes {ours}; Keras' own export fails: {why}"
    ratio = stock.median / ours.median
    return f"A run takes {ours}; of Keras' own export {stock}, {ratio:.2f} times as long ({machine('onnxruntime')})"

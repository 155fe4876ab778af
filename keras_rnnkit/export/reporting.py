"""What is reported of a file: its recurrences, errors, axes, notes, and its time beside Keras' own export."""

from __future__ import annotations

import time

from keras_rnnkit.export.checking.file_check import Verified
from keras_rnnkit.export.checking.latency import beside_stock
from keras_rnnkit.export.modes import Sequences
from keras_rnnkit.export.report import ExportReport, Row
from keras_rnnkit.export.settings import Settings
from keras_rnnkit.export.writing.finish import axes, every_node
from keras_rnnkit.export.writing.quantization import weights_of
from keras_rnnkit.timing import Times, machine


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

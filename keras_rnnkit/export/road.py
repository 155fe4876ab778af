"""The road: a model becomes the bytes of an ONNX file, which were checked, with a report."""

from __future__ import annotations

import time
from typing import Any

from keras_rnnkit import keras_internals
from keras_rnnkit.export.drafts import Drafts
from keras_rnnkit.export.generating.generation import Generations
from keras_rnnkit.export.modes import Sequences, Streams
from keras_rnnkit.export.reading.precision import LOW, computing_in_float32
from keras_rnnkit.export.reading.signature import check
from keras_rnnkit.export.report import ExportReport
from keras_rnnkit.export.reporting import report
from keras_rnnkit.export.saving.files import serialized
from keras_rnnkit.export.settings import Settings

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

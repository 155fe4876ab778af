"""`export_onnx`: one verified ONNX file from any Keras model with recurrent layers."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras

from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.report import ExportReport
from keras_rnnkit.export.saving import files

OPSET = 18


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
    strategy: Any = "sample",
    end: int | None = None,
    quantize: str | None = None,
    calibration: Any = None,
    max_error: float | None = None,
    compare: bool = False,
    progress: Callable[[str], Any] | None = None,
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
            "generate" puts the token loop into the graph, for a causal model from tokens to scores of the next one: a
            prompt goes in, `generated` tokens, their `scores` (log-probabilities) and `lengths` come out of one run.
        opset: of ONNX.
        inputs: arrays as the model takes them, or keras.InputSpec with a name, shape (None for a free axis) and dtype;
            for subclassed models that take several arguments, or were first called with something else.
        input_names: names for the graph's inputs in place of the model's own.
        batch: the number of rows the graph will run, where it is known: it decides between operators that are fast
            for few rows and for many.
        lowering: "auto", "native" (an ONNX operator wherever one is exact), or "scan" (never one).
        verify: run Keras and onnxruntime side by side on inputs of several sizes, with masks of every shape.
        tolerance: the largest difference allowed, in proportion to the range of the values of an output's column.
        strategy: of "generate": "sample" (inputs `noise` [batch, steps], `temperature`, `top_k`, `top_p`; top_k=1 is
            greedy), "greedy" or "beam" (input `steps`), or a `keras_rnnkit.decoding.Strategy` with its numbers.
        end: the token at which a row ends; when all have, the loop stops.
        quantize: "int8" for products of 8-bit integers, which are faster where the weights are many, or "float16" for
            a file of half the size. The graph is verified with the weights as they are, too.
        calibration: data as the model takes them: arrays, dicts, or a list, generator or tf.data.Dataset of batches.
            The graph is tried on some of it, and the error of quantized weights is measured on it.
        max_error: the largest such error allowed, in proportion to the widest range of an output's columns; 0.1 for
            int8, 0.01 for float16.
        compare: time a run beside one of `model.export(format="onnx")`, one row of a hundred steps on one thread.
        progress: a function that is told each stage as it begins.

    Returns a report; print it for a table.

    >>> import os, tempfile, keras_rnnkit as rk
    >>> model = keras.Sequential([keras.Input((None, 3), name="x"), keras.layers.GRU(4, name="reader")])
    >>> report = rk.export_onnx(model, os.path.join(tempfile.mkdtemp(), "model.onnx"))
    >>> [(row.layer, row.lowering) for row in report.rows], report.error < 1e-5, report.outputs
    ([('reader', 'GRU')], True, {'reader': ['batch', 4]})
    """
    require_tensorflow()
    from keras_rnnkit.export import road
    from keras_rnnkit.export.settings import Settings, silently

    settings = Settings(
        mode=mode,
        opset=opset,
        inputs=inputs,
        input_names=input_names,
        batch=batch,
        lowering=lowering,
        verify=verify,
        tolerance=tolerance,
        strategy=strategy,
        end=end,
        quantize=quantize,
        calibration=calibration,
        max_error=max_error,
        compare=compare,
        progress=progress or silently,
    )
    destination = files.checked(path)
    content, report = road.export(model, settings)
    files.write(destination, content)
    return replace(report, path=str(destination))


def require_tensorflow() -> None:
    if keras.backend.backend() != "tensorflow":
        raise ExportError(
            f"Export traces the model with TensorFlow. Received: KERAS_BACKEND={keras.backend.backend()!r}. Save the "
            "model, then load and export it in a process with KERAS_BACKEND=tensorflow."
        )

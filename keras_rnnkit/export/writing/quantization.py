"""Weights in fewer bits: int8 with integer products, or float16 in the file only; and what that costs in exactness."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from keras import tree
from onnx import ModelProto, helper, numpy_helper

from keras_rnnkit.export.checking.comparison import difference, run, session
from keras_rnnkit.export.checking.probes import Probe, probes
from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.graph import Graph

BOUNDS = {"int8": 0.1, "float16": 0.01}
"""The largest error allowed unless another is given, in proportion to the largest output where that is above 1."""
LEAST_BYTES = 1024
"""Smaller constants stay in float32."""
LARGEST_FLOAT16 = float(np.finfo(np.float16).max)


def int8(model: ModelProto) -> ModelProto:
    """The graph with products of int8 weights, inside loops too; inputs of a product are quantised as they come.

    Weights have 7 bits and a sign: with 8, processors without VNNI overflow the sum of two products, and the errors of
    an LSTM of 512 units were measured to be eight times as large, at the same speed.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder, without_remarks():
        before, after = Path(folder) / "float32.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, before)
        options = {"EnableSubgraph": True, "MatMulConstBOnly": True}
        quantize_dynamic(before, after, weight_type=QuantType.QInt8, reduce_range=True, extra_options=options)
        return onnx.load(after)


def float16(model: ModelProto) -> ModelProto:
    """The graph with its large constants in float16, cast to float32 when it is loaded: half the file, same speed."""
    small = ModelProto()
    small.CopyFrom(model)
    casts = []
    for initializer in small.graph.initializer:
        array = numpy_helper.to_array(initializer)
        if array.dtype != np.float32 or array.nbytes < LEAST_BYTES or np.max(np.abs(array)) > LARGEST_FLOAT16:
            continue
        name = initializer.name
        initializer.CopyFrom(numpy_helper.from_array(array.astype(np.float16), f"{name}/float16"))
        casts.append(
            helper.make_node("Cast", [initializer.name], [name], name=f"{name}/float32", to=onnx.TensorProto.FLOAT)
        )
    nodes = list(small.graph.node)
    del small.graph.node[:]
    small.graph.node.extend([*casts, *nodes])
    return small


KINDS = {"int8": int8, "float16": float16}


def quantized(graph: Graph, kind: str, calibration: Any = None, bound: float | None = None) -> tuple[ModelProto, float]:
    """The graph in fewer bits, and its largest error on the calibration data; ExportError if that is above the bound.

    calibration: inputs as the model takes them; None takes those made up for verification.
    """
    small = KINDS[kind](graph.model)
    bound = BOUNDS[kind] if bound is None else bound
    tries = probes(graph.model_call) if calibration is None else [calibrated(graph, calibration)]
    rough, count, worst = session(small), len(graph.model.graph.output) - len(graph.states), 0.0
    for probe, expected in exactly(graph, tries):
        found = run(rough, graph, probe)
        for value, a, b in list(zip(graph.model.graph.output, expected, found, strict=True))[:count]:
            error, scaled = difference(a, b)
            worst = max(worst, error)
            if not scaled <= bound:
                raise ExportError(
                    f"With {kind} weights the output {value.name!r} is off by {error:.3g}, {scaled:.3g} in proportion; "
                    f"allowed are {bound:g} (inputs {probe.size}). No file was written. Pass calibration= with data as "
                    "the model sees them if these are not, or a larger max_error=."
                )
    return small, worst


def exactly(graph: Graph, tries: list[Probe]) -> list[tuple[Probe, list[np.ndarray]]]:
    """What the exact graph makes of each; left out are those it refuses, as two inputs that must be equally long."""
    runner, runs, refusal = session(graph.model), [], None
    for probe in tries:
        try:
            runs.append((probe, run(runner, graph, probe)))
        except ExportError as error:
            refusal = error
    if refusal and not runs:
        raise refusal
    return runs


def calibrated(graph: Graph, calibration: Any) -> Probe:
    """The user's data as a probe, with states as they start."""
    specs, arrays = graph.model_call.signature.inputs, [np.asarray(x) for x in tree.flatten(calibration)]
    fits = len(arrays) == len(specs) and all(
        x.ndim == len(s.shape) and all(n in (None, m) for n, m in zip(s.shape, x.shape, strict=True))
        for x, s in zip(arrays, specs, strict=True)
    )
    if not fits:
        expected = ", ".join(f"{spec.name} {list(spec.shape)}" for spec in specs)
        got = ", ".join(str(list(x.shape)) for x in arrays)
        raise ExportError(f"calibration= takes arrays as the model takes them: {expected}. Received: {got}.")
    arrays = [x.astype(spec.dtype) for x, spec in zip(arrays, specs, strict=True)]
    return Probe(arrays, [np.repeat(state.start[None], len(arrays[0]), axis=0) for state in graph.model_call.states])


@contextmanager
def without_remarks() -> Iterator[None]:
    """Without onnxruntime's advice to preprocess the graph, which ours does not need."""
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logging.root.setLevel(level)

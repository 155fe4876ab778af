"""Weights in fewer bits: int8 with integer products, or float16 in the file only."""

from __future__ import annotations

import logging
import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

from keras_rnnkit.export.graph import Graph
from keras_rnnkit.export.lowering.placeholders import Lowered
from keras_rnnkit.export.writing.emitter import names_read

BOUNDS = {"int8": 0.1, "float16": 0.01}
"""The largest error allowed unless another is given, in proportion to the range of a column's values."""
WEIGHTS = {
    TensorProto.INT8: "int8",
    TensorProto.UINT8: "int8",
    TensorProto.FLOAT16: "float16",
    TensorProto.FLOAT: "float32",
    TensorProto.DOUBLE: "float64",
}
LEAST_BYTES = 1024
"""Smaller constants stay in float32."""
LARGEST_FLOAT16 = float(np.finfo(np.float16).max)


def int8(model: ModelProto) -> ModelProto:
    """The graph with products of int8 weights, inside loops too; inputs of a product are quantized as they come.

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


def quantized(graph: Graph, kind: str) -> ModelProto:
    """The graph with its weights in fewer bits; the graph itself stays as it is."""
    return KINDS[kind](graph.model)


def weights_of(model: ModelProto, lowered: list[Lowered]) -> dict[str, str]:
    """The type of the largest constant that the nodes of each recurrence read: "int8", "float16", "float32", ..."""
    constants = {i.name: i for i in model.graph.initializer}
    for node in model.graph.node:  # a constant in float16 is cast before it is read
        if node.op_type == "Cast" and node.input[0] in constants:
            constants[node.output[0]] = constants[node.input[0]]
    types = {}
    for name in [row.recurrence.name for row in lowered]:
        nodes = [node for node in model.graph.node if node.name.startswith(f"{name}/")]
        read = [constants[x] for x in names_read(nodes) if x in constants and constants[x].data_type in WEIGHTS]
        largest = max(read, key=lambda tensor: math.prod(tensor.dims), default=None)
        types[name] = WEIGHTS[largest.data_type] if largest is not None else "float32"
    return types


@contextmanager
def without_remarks() -> Iterator[None]:
    """Without onnxruntime's advice to preprocess the graph, which ours does not need."""
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logging.root.setLevel(level)

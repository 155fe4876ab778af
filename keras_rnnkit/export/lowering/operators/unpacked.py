"""Weights of a loop's product as onnxruntime multiplies one row by them fastest.

onnxruntime lays a constant matrix out for products of many rows, and then does one row by the same kernel; a matrix
that it does not know to be constant goes to its kernel for one row. Measured with a layer-normalised LSTM: 1.2 to 1.3
times as fast for one row up to 128 units; from two rows on slower, by at most 14 % up to 64 kB, by half at 1 MB.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from keras_rnnkit.export.lowering.context import length_of
from keras_rnnkit.export.lowering.steps import TimeSteps
from keras_rnnkit.export.writing.scan_loop import Loop
from keras_rnnkit.ops import onnx as ops
from keras_rnnkit.ops.onnx import Value

LIMITS = {None: 2**16, 1: 2**20}
"""Bytes up to which it pays, by the number of rows: not known, or one."""


def unpack(loop: Loop, steps: TimeSteps) -> None:
    """Read the weights of the body's products through a reshape to their own shape, which depends on the input."""
    limit = 0 if steps.integers else LIMITS.get(steps.rows, 0)
    reshapes: dict[str, str] = {}
    for node in loop.body.nodes:
        tensor = loop.body.initializers.get(node.input[1]) if node.op_type == "MatMul" else None
        if tensor is not None and len(tensor.dims) == 2 and size(tensor) <= limit:
            if tensor.name not in reshapes:
                reshapes[tensor.name] = reshaped(tensor, steps.x)
            node.input[1] = reshapes[tensor.name]


def reshaped(tensor: TensorProto, x: Value) -> str:
    zero = length_of(x, 1) * 0  # "as it was", to a reshape
    shape = ops.concatenate([zero, np.array([-1], np.int64)], axis=0)
    (name,) = x.graph.node("Reshape", [tensor.name, shape.name], [True])
    return name


def size(tensor: TensorProto) -> int:
    return 4 * int(np.prod(tensor.dims))

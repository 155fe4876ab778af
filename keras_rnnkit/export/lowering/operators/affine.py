"""Cells whose projected input is one matrix product, which is all that an ONNX operator has room for."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from keras_rnnkit.cells.batchnorm import BatchNormCell
from keras_rnnkit.cells.conditioned import ConditionedCell
from keras_rnnkit.cells.wrapper import WrapperCell
from keras_rnnkit.export.lowering.context import length_of, reader, same_equation
from keras_rnnkit.ops import numpy as numpy_ops
from keras_rnnkit.ops import onnx as ops
from keras_rnnkit.ops.onnx import Value


class Affine(NamedTuple):
    """z = x kernel + bias (+ v condition), around the gates of `cell`."""

    cell: Any
    kernel: np.ndarray
    bias: np.ndarray
    condition: np.ndarray | None = None

    def inputs(self, x: Value, v: Value | None) -> tuple[Value, np.ndarray]:
        """x and kernel with the condition in them.

            x kernel + v condition = [x, v] [kernel; condition]

        A condition wider than z is projected first, once for the sequence: [x, v condition] [kernel; 1].
        """
        if self.condition is None or v is None:
            return x, self.kernel
        below = self.condition
        if below.shape[0] > below.shape[1]:
            v, below = ops.matmul(v, below), np.eye(below.shape[1], dtype=below.dtype)
        shape = ops.concatenate([length_of(x, 0, 2), np.array(v.shape[-1:], np.int64)], axis=0)
        spread = ops.emit("Expand", v, shape, shape=(*x.shape[:2], v.shape[-1]))
        return ops.concatenate([x, spread]), np.concatenate([self.kernel, below])


def affine(cell, dtype=np.float32) -> Affine | None:
    """The cell as an affine projection, or None."""
    rule = next((rule for family, rule in RULES if same_equation(cell, family)), None)
    if rule:
        return rule(cell, dtype)
    return None if isinstance(cell, WrapperCell) else plain(cell, dtype)


def plain(cell, dtype) -> Affine:
    w = cell.weights_as(reader(dtype))
    bias = cell.project(numpy_ops, w, np.zeros((1, w.kernel.shape[0]), dtype))[0]
    return Affine(cell, w.kernel, np.asarray(bias, dtype))


def normalised(cell, dtype) -> Affine | None:
    """gain * (x kernel - mean) / deviation + bias: the running statistics are constants."""
    inner, w = affine(cell.cell, dtype), cell.weights_as(reader(dtype))
    if inner is None or inner.condition is not None:
        return None
    scale = w.gain / np.sqrt(w.running_variance + cell.epsilon)
    kernel, bias = inner.kernel * scale, inner.bias - w.running_mean * scale
    return Affine(inner.cell, kernel.astype(dtype), bias.astype(dtype))


def conditioned(cell, dtype) -> Affine | None:
    inner, w = affine(cell.cell, dtype), cell.weights_as(reader(dtype))
    if inner is None or inner.condition is not None:
        return None
    return inner._replace(condition=w.condition_kernel)


RULES = ((BatchNormCell, normalised), (ConditionedCell, conditioned))

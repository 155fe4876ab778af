"""What a lowering must know besides the cell, and what it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from keras_rnnkit.cells.wrapper import WrapperCell
from keras_rnnkit.ops import onnx as ops
from keras_rnnkit.ops.onnx import Value


@dataclass(frozen=True)
class LoweringContext:
    """resets: some rows start anew inside the sequence. batch: the number of rows, where it is known.

    features: width of x. prefer: "auto" (exact, then fast), "native" (an ONNX operator wherever one is exact), "scan"
    (never one) or "int8" (one that has int8 weights).
    """

    resets: bool = False
    batch: int | None = None
    features: int = 1
    dtype: np.dtype = field(default_factory=lambda: np.dtype(np.float32))
    prefer: str = "auto"


@dataclass(frozen=True)
class Wanted:
    """Which results are read: the outputs of all steps, the last one, each of the last states."""

    sequence: bool
    last: bool
    states: list[bool]


@dataclass
class Result:
    """y [T, B, U], last [B, U] of the last valid step, states; None for what was not wanted, or is zero."""

    y: Value | None
    last: Value | None
    states: list[Value | None]


def innermost(cell):
    """The cell inside all wrappers."""
    return innermost(cell.cell) if isinstance(cell, WrapperCell) else cell


def same_equation(cell, family: type) -> bool:
    """Whether the cell computes what its class `family` does: a subclass may change any part of it."""
    methods = ("inputs", "project", "recur", "gates", "output")
    return isinstance(cell, family) and all(
        getattr(type(cell), name, None) is getattr(family, name, None) for name in methods
    )


def reader(dtype) -> Callable[[keras.Variable], Any]:
    """Reads a variable as an array of that dtype, for `cell.weights_as`."""
    return lambda variable: keras.ops.convert_to_numpy(variable.value).astype(dtype)


def length_of(x: Value, first: int, count: int = 1) -> Value:
    """The lengths [count] of the axes of x from `first` on."""
    if x.graph.opset >= 15:
        return ops.emit("Shape", x, shape=(count,), dtype=np.int64, start=first, end=first + count)
    return ops.emit("Shape", x, shape=(len(x.shape),), dtype=np.int64)[first : first + count]


def zeros(x: Value, size: int) -> Value:
    """[B, size] of zeros for x [T, B, D]."""
    batch = length_of(x, 1)
    shape = ops.concatenate([batch, np.array([size], np.int64)], axis=0)
    return ops.emit("ConstantOfShape", shape, shape=(x.shape[1], size), dtype=x.dtype, value=np.zeros(1, x.dtype))

"""The vocabulary read by writing an ONNX graph: each function adds nodes and returns the value they compute.

An operation on constants alone adds no node: the NumPy reading computes it at once, so weights may be plain ndarrays,
sliced and scaled freely. A node is added to the innermost graph that one of its arguments belongs to; what the body of
a loop computes from outer values alone is therefore written before the loop.
"""

from __future__ import annotations

import builtins
import functools
import sys
from typing import Any

import numpy as np

from keras_rnnkit.ops import activations
from keras_rnnkit.ops import numpy as numpy_ops
from keras_rnnkit.ops.onnx_values import (
    Shape,
    Value,
    as_dtype,
    axes_of,
    broadcast,
    common_dtype,
    emit,
    emit_many,
    gather,
    pointwise,
    unsqueeze,
)


def folding(function):
    """A function that leaves calls on constants alone to the NumPy reading."""
    twin = getattr(numpy_ops, function.__name__)

    @functools.wraps(function)
    def reading(*arguments, **keywords):
        flat = [y for x in arguments for y in (x if isinstance(x, list | tuple) else [x])]
        constant = not any(isinstance(x, Value) for x in flat)
        return twin(*arguments, **keywords) if constant else function(*arguments, **keywords)

    return reading


# ---------------------------------------------------------------------- linear algebra and shape


@folding
def matmul(a, b):
    kind = common_dtype((a, b))
    a, b = as_dtype(a, kind), as_dtype(b, kind)
    rows = a.shape[:-1] if len(b.shape) == 2 else (*broadcast(a.shape[:-2], b.shape[:-2]), a.shape[-2])
    return emit("MatMul", a, b, shape=(*rows, b.shape[-1]))


@folding
def add_bias(x, bias):
    return x + bias


@folding
def concatenate(arrays, axis=-1):
    kind = common_dtype(arrays)
    arrays = [as_dtype(x, kind) for x in arrays]
    (axis,) = axes_of(arrays[0], axis)
    widths = [x.shape[axis] for x in arrays]
    shape = list(arrays[0].shape)
    shape[axis] = None if None in widths else builtins.sum(widths)
    return emit("Concat", *arrays, shape=shape, axis=axis)


@folding
def split(x, parts, axis=-1):
    (axis,) = axes_of(x, axis)
    if x.shape[axis] is None:
        raise ValueError(f"split needs an axis of known length. Received: axis {axis} of {x!r}.")
    width = x.shape[axis] // parts
    shape = (*x.shape[:axis], width, *x.shape[axis + 1 :])
    outputs = [(shape, x.dtype)] * parts
    if x.graph.opset >= 18:
        return emit_many("Split", x, outputs=outputs, axis=axis, num_outputs=parts)
    return emit_many("Split", x, np.full(parts, width, np.int64), outputs=outputs, axis=axis)


@folding
def reshape(x, shape):
    """`shape` may hold one -1; an axis of the input cannot be named, since its length may not be known."""
    sizes = tuple(None if n == -1 else int(n) for n in shape)
    if None in sizes and None not in x.shape:
        rest = int(np.prod(x.shape)) // int(np.prod([n for n in sizes if n]))
        sizes = tuple(rest if n is None else n for n in sizes)
    return emit("Reshape", x, np.array(shape, np.int64), shape=sizes)


@folding
def unflatten(x, sizes):
    """A zero in the shape of a Reshape keeps the axis of its place, whatever its length."""
    kept = [0] * (len(x.shape) - 1)
    return emit("Reshape", x, np.array([*kept, *sizes], np.int64), shape=(*x.shape[:-1], *sizes))


@folding
def flatten(x, axes):
    first = len(x.shape) - axes
    size = int(np.prod(x.shape[first:]))
    return emit("Reshape", x, np.array([*[0] * first, size], np.int64), shape=(*x.shape[:first], size))


@folding
def expand_dims(x, axis):
    return unsqueeze(x, axis % (len(x.shape) + 1))


@folding
def squeeze(x, axis):
    axes = axes_of(x, axis)
    shape = [n for i, n in enumerate(x.shape) if i not in axes]
    return emit("Squeeze", x, np.array(axes, np.int64), shape=shape)


@folding
def transpose(x, *order):
    return emit("Transpose", x, shape=[x.shape[i] for i in order], perm=list(order))


@folding
def take(x, indices, axis=0):
    indices = indices if isinstance(indices, Value) else np.asarray(indices, np.int64)
    return gather(x, indices, axes_of(x, axis)[0])


@folding
def take_along_axis(x, indices, axis=-1):
    indices = indices if isinstance(indices, Value) else np.asarray(indices, np.int64)
    return emit("GatherElements", x, indices, shape=indices.shape, dtype=x.dtype, axis=axes_of(x, axis)[0])


@folding
def one_hot(indices, depth, like):
    values = np.array([0, 1], like.dtype)
    return emit("OneHot", indices, np.array(depth, np.int64), values, shape=(*indices.shape, depth), dtype=like.dtype)


@folding
def zeros_like(x):
    if None not in x.shape:
        return np.zeros(x.shape, x.dtype)
    shape = emit("Shape", x, shape=(len(x.shape),), dtype=np.int64)
    return emit("ConstantOfShape", shape, shape=x.shape, dtype=x.dtype, value=np.zeros(1, x.dtype))


# ---------------------------------------------------------------------- pointwise


@folding
def tanh(x):
    return emit("Tanh", x)


@folding
def sigmoid(x):
    return emit("Sigmoid", x)


@folding
def exp(x):
    return emit("Exp", x)


@folding
def log(x):
    return emit("Log", x)


@folding
def sqrt(x):
    return emit("Sqrt", x)


@folding
def sin(x):
    return emit("Sin", x)


@folding
def cos(x):
    return emit("Cos", x)


@folding
def erf(x):
    return emit("Erf", x)


@folding
def abs(x):
    return emit("Abs", x)


@folding
def maximum(a, b):
    return pointwise("Max", a, b)


@folding
def minimum(a, b):
    return pointwise("Min", a, b)


@folding
def where(condition, a, b):
    values = [x for x in (a, b) if isinstance(x, Value)]
    kind = common_dtype((a, b)) if values else np.result_type(a, b)
    a, b = as_dtype(a, kind), as_dtype(b, kind)
    condition = as_dtype(condition, np.dtype(bool))
    return emit("Where", condition, a, b, shape=broadcast(condition.shape, a.shape, b.shape), dtype=kind)


def cast(x, like):
    return as_dtype(x, like.dtype) if isinstance(x, Value) else np.asarray(x).astype(like.dtype)


@folding
def widen(x):
    return as_dtype(x, np.result_type(x.dtype, np.float32))


SINGLE_NODES: dict[str, tuple[str, dict[str, Any]]] = {
    "tanh": ("Tanh", {}),
    "sigmoid": ("Sigmoid", {}),
    "relu": ("Relu", {}),
    "elu": ("Elu", {"alpha": 1.0}),
    "leaky_relu": ("LeakyRelu", {"alpha": 0.2}),
    "softplus": ("Softplus", {}),
    "softsign": ("Softsign", {}),
    "softmax": ("Softmax", {"axis": -1}),
    "log_softmax": ("LogSoftmax", {"axis": -1}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1.0 / 6.0, "beta": 0.5}),
}
"""Activations that are a single ONNX node; the others are written as their equation in `ops.activations`."""


@folding
def activation(function, x):
    name = activations.name(function)
    if name in SINGLE_NODES:
        op_type, attributes = SINGLE_NODES[name]
        return emit(op_type, x, **attributes)
    return activations.equation(function)(sys.modules[__name__], x)


# ---------------------------------------------------------------------- along an axis


def reduced(x, axis, keepdims) -> Shape:
    axes = axes_of(x, axis)
    with_ones = [1 if i in axes else n for i, n in enumerate(x.shape)]
    return tuple(n for i, n in enumerate(with_ones) if keepdims or i not in axes)


def reduce(op_type: str, x, axis, keepdims, axes_as_input: bool) -> Value:
    axes, shape = [a - len(x.shape) for a in axes_of(x, axis)], reduced(x, axis, keepdims)
    if axes_as_input:
        return emit(op_type, x, np.array(axes, np.int64), shape=shape, keepdims=int(keepdims))
    return emit(op_type, x, shape=shape, axes=axes, keepdims=int(keepdims))


@folding
def sum(x, axis=-1, keepdims=False):
    return reduce("ReduceSum", x, axis, keepdims, axes_as_input=True)


@folding
def mean(x, axis=-1, keepdims=False):
    return reduce("ReduceMean", x, axis, keepdims, axes_as_input=x.graph.opset >= 18)


@folding
def max(x, axis=-1, keepdims=False):
    return reduce("ReduceMax", x, axis, keepdims, axes_as_input=x.graph.opset >= 18)


@folding
def argmax(x, axis=-1):
    return emit("ArgMax", x, shape=reduced(x, axis, False), dtype=np.int64, axis=axes_of(x, axis)[0], keepdims=0)


@folding
def cumsum(x, axis=-1):
    return emit("CumSum", x, np.array(axes_of(x, axis)[0], np.int64))


@folding
def top_k(x, k):
    shape = (*x.shape[:-1], int(k))
    return emit_many("TopK", x, np.array([k], np.int64), outputs=[(shape, x.dtype), (shape, np.int64)])

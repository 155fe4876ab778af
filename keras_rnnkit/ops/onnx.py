"""The vocabulary read by writing an ONNX graph: each function adds nodes and returns the value they give.

What depends on constants alone is not written: it is computed here and now by the NumPy reading, so weights may be
plain ndarrays, sliced and scaled freely. An operation lands in the innermost graph that one of its arguments
belongs to; what a loop's body computes from outer values alone therefore ends up before the loop.
"""

from __future__ import annotations

import builtins
import functools
import sys
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from keras_rnnkit.ops import activations
from keras_rnnkit.ops import numpy as numpy_ops

Shape = tuple[int | None, ...]
INT_MAX = np.iinfo(np.int64).max
INT_MIN = np.iinfo(np.int64).min


class Graph(Protocol):
    """Where nodes are written."""

    depth: int
    opset: int

    def node(self, op_type: str, inputs: Sequence[str], outputs: Sequence[bool], **attributes: Any) -> list[str]: ...
    def constant(self, array: np.ndarray) -> str: ...


class Value:
    """An array of a graph: known by name, shape (None for a free axis) and dtype.

    It carries the operators of the vocabulary and basic indexing: integers, slices, `...` and None.
    """

    __array_ufunc__ = None  # so that `ndarray + value` asks the value
    __hash__ = object.__hash__

    def __init__(self, graph: Graph, name: str, shape: Sequence[int | None], dtype: Any):
        self.graph = graph
        self.name = name
        self.shape: Shape = tuple(shape)
        self.dtype = np.dtype(dtype)

    def __repr__(self) -> str:
        return f"Value({self.name!r}, shape={self.shape}, dtype={self.dtype})"

    def __add__(self, other):
        return pointwise("Add", self, other)

    def __radd__(self, other):
        return pointwise("Add", other, self)

    def __sub__(self, other):
        return pointwise("Sub", self, other)

    def __rsub__(self, other):
        return pointwise("Sub", other, self)

    def __mul__(self, other):
        return pointwise("Mul", self, other)

    def __rmul__(self, other):
        return pointwise("Mul", other, self)

    def __truediv__(self, other):
        return pointwise("Div", self, other)

    def __rtruediv__(self, other):
        return pointwise("Div", other, self)

    def __neg__(self):
        return emit("Neg", self)

    def __lt__(self, other):
        return pointwise("Less", self, other, dtype=bool)

    def __le__(self, other):
        return pointwise("LessOrEqual", self, other, dtype=bool)

    def __gt__(self, other):
        return pointwise("Greater", self, other, dtype=bool)

    def __ge__(self, other):
        return pointwise("GreaterOrEqual", self, other, dtype=bool)

    def __getitem__(self, key):
        return index(self, key)

    def __bool__(self):
        raise TypeError(
            "A value of an ONNX graph has no truth value while the graph is written. Use ops.where(condition, a, b) "
            "in place of `if`."
        )


# ---------------------------------------------------------------------- writing nodes


def emit(op_type: str, *inputs, shape=None, dtype=None, **attributes) -> Value:
    """One node with one output; its shape and dtype are those of the first value unless given."""
    like = next(x for x in inputs if isinstance(x, Value))
    known = (like.shape if shape is None else shape, like.dtype if dtype is None else dtype)
    return emit_many(op_type, *inputs, outputs=[known], **attributes)[0]


def emit_many(op_type: str, *inputs, outputs: Sequence[tuple[Shape, Any] | None], **attributes) -> list[Any]:
    """One node; `outputs` has the shape and dtype of each, or None for one that nobody reads.

    Inputs are values, ndarrays (written as constants), or None for an input left out.
    """
    graph = innermost(inputs)
    names = ["" if x is None else x.name if isinstance(x, Value) else graph.constant(x) for x in inputs]
    while names and not names[-1]:
        names.pop()
    written = graph.node(op_type, names, outputs=[known is not None for known in outputs], **attributes)
    return [None if known is None else Value(graph, name, *known) for name, known in zip(written, outputs, strict=True)]


def innermost(arguments) -> Graph:
    graphs = [x.graph for x in arguments if isinstance(x, Value)]
    return builtins.max(graphs, key=lambda graph: graph.depth)


def pointwise(op_type: str, *arguments, dtype=None) -> Value:
    """A node whose inputs broadcast against each other; constants take the dtype of the values."""
    kind = common_dtype(arguments)
    arrays = [as_dtype(x, kind) for x in arguments]
    return emit(op_type, *arrays, shape=broadcast(*(x.shape for x in arrays)), dtype=dtype or kind)


def common_dtype(arguments) -> np.dtype:
    values = [x.dtype for x in arguments if isinstance(x, Value)]
    kind = np.result_type(*values)
    constants = [np.asarray(x).dtype for x in arguments if not isinstance(x, Value)]
    fraction = any(np.issubdtype(c, np.floating) for c in constants)
    return np.dtype(np.float32) if fraction and not np.issubdtype(kind, np.floating) else kind


def as_dtype(x, dtype) -> Any:
    if not isinstance(x, Value):
        return np.asarray(x, dtype)
    return x if x.dtype == dtype else emit("Cast", x, dtype=dtype, to=dtype)


def broadcast(*shapes: Shape) -> Shape:
    """The shape of arrays that broadcast; a free axis meets a one as a free axis, a number as that number."""
    rank = builtins.max(map(len, shapes))
    columns = zip(*((1,) * (rank - len(shape)) + tuple(shape) for shape in shapes), strict=True)
    return tuple(next((n for n in axis if n not in (1, None)), None if None in axis else 1) for axis in columns)


def axes_of(x, axis: int | Sequence[int]) -> list[int]:
    axes = [axis] if isinstance(axis, int) else list(axis)
    return [a % len(x.shape) for a in axes]


def folding(function):
    """Let the NumPy reading compute what has no value of a graph in it."""
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
    return emit_many("Split", x, np.full(parts, width, np.int64), outputs=[(shape, x.dtype)] * parts, axis=axis)


@folding
def reshape(x, shape):
    """`shape` may hold one -1; an axis of the input cannot be named, since its length may not be known."""
    known = tuple(None if n == -1 else int(n) for n in shape)
    if None in known and None not in x.shape:
        known = tuple(int(np.prod(x.shape)) // int(np.prod([n for n in known if n])) if n is None else n for n in known)
    return emit("Reshape", x, np.array(shape, np.int64), shape=known)


@folding
def expand_dims(x, axis):
    axis = axis % (len(x.shape) + 1)
    return emit("Unsqueeze", x, np.array([axis], np.int64), shape=(*x.shape[:axis], 1, *x.shape[axis:]))


@folding
def squeeze(x, axis):
    axes = axes_of(x, axis)
    shape = [n for i, n in enumerate(x.shape) if i not in axes]
    return emit("Squeeze", x, np.array(axes, np.int64), shape=shape)


def transpose(x: Value, *order: int) -> Value:
    return emit("Transpose", x, shape=[x.shape[i] for i in order], perm=list(order))


def index(x: Value, key) -> Value:
    key = key if isinstance(key, tuple) else (key,)
    used = builtins.sum(k is not None and k is not Ellipsis for k in key)
    where_rest = key.index(Ellipsis) if Ellipsis in key else len(key)
    rest = (slice(None),) * (len(x.shape) - used)
    key = (*key[:where_rest], *rest, *key[where_rest + 1 :])
    taken = [k for k in key if k is not None]
    x = slices(x, [slice(None) if isinstance(k, int) else k for k in taken])
    for axis, k in reversed(list(enumerate(taken))):
        x = take(x, np.array(k, np.int64), axis) if isinstance(k, int) else x
    for axis, k in enumerate(k for k in key if not isinstance(k, int)):
        x = expand_dims(x, axis) if k is None else x
    return x


def slices(x: Value, key: Sequence[slice]) -> Value:
    cut = [(axis, k) for axis, k in enumerate(key) if k != slice(None)]
    if not cut:
        return x
    steps = [k.step or 1 for _, k in cut]
    first = [(0 if s > 0 else INT_MAX) if k.start is None else k.start for s, (_, k) in zip(steps, cut, strict=True)]
    last = [(INT_MAX if s > 0 else INT_MIN) if k.stop is None else k.stop for s, (_, k) in zip(steps, cut, strict=True)]
    shape = list(x.shape)
    for axis, k in cut:
        whole = k.start is None and k.stop is None and k.step == -1
        shape[axis] = shape[axis] if whole else None if shape[axis] is None else len(range(shape[axis])[k])
        if shape[axis] is None and k == slice(k.start, (k.start or 0) + 1):
            shape[axis] = 1
    bounds = [np.array(b, np.int64) for b in (first, last, [axis for axis, _ in cut], steps)]
    return emit("Slice", x, *bounds, shape=shape)


@folding
def take(x, indices, axis=0):
    x = x if isinstance(x, Value) else np.asarray(x)
    (axis,) = axes_of(x, axis)
    indices = indices if isinstance(indices, Value) else np.asarray(indices, np.int64)
    return emit(
        "Gather", x, indices, shape=(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]), dtype=x.dtype, axis=axis
    )


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
"""Activations that are one node of ONNX; the others are written as their equation says."""


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
    kept = [1 if i in axes else n for i, n in enumerate(x.shape)]
    return tuple(n for i, n in enumerate(kept) if keepdims or i not in axes)


def reduce(op_type: str, x, axis, keepdims, axes_as_input: bool) -> Value:
    axes, shape = axes_of(x, axis), reduced(x, axis, keepdims)
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

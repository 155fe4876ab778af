"""The arrays of an ONNX graph that is being written, and the functions that write its nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

Shape = tuple[int | None, ...]
INT_MAX = np.iinfo(np.int64).max
INT_MIN = np.iinfo(np.int64).min


class Graph(Protocol):
    """A graph to which nodes are added; depth counts the graphs around it."""

    depth: int
    opset: int

    def node(self, op_type: str, inputs: Sequence[str], outputs: Sequence[bool], **attributes: Any) -> list[str]: ...
    def constant(self, array: np.ndarray) -> str: ...


class Value:
    """An array of a graph, with its name, shape (None for a free axis) and dtype.

    It carries the operators of the vocabulary and basic indexing: integers, slices, `...` and None.
    """

    __array_ufunc__ = None  # without this, NumPy would compute `ndarray + value` element by element
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
    output = (like.shape if shape is None else shape, like.dtype if dtype is None else dtype)
    return emit_many(op_type, *inputs, outputs=[output], **attributes)[0]


def emit_many(op_type: str, *inputs, outputs: Sequence[tuple[Shape, Any] | None], **attributes) -> list[Any]:
    """One node; `outputs` has the shape and dtype of each output, or None for an output that is not read.

    Inputs are values, ndarrays (written as constants), or None for an input left out.
    """
    graph = innermost(inputs)
    names = ["" if x is None else x.name if isinstance(x, Value) else graph.constant(x) for x in inputs]
    while names and not names[-1]:
        names.pop()
    written = graph.node(op_type, names, outputs=[output is not None for output in outputs], **attributes)
    return [None if o is None else Value(graph, name, *o) for name, o in zip(written, outputs, strict=True)]


def innermost(arguments) -> Graph:
    graphs = [x.graph for x in arguments if isinstance(x, Value)]
    return max(graphs, key=lambda graph: graph.depth)


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
    """The shape of arrays that broadcast; a free axis beside a one stays free, beside a number it is that number."""
    rank = max(map(len, shapes))
    columns = zip(*((1,) * (rank - len(shape)) + tuple(shape) for shape in shapes), strict=True)
    return tuple(next((n for n in axis if n not in (1, None)), None if None in axis else 1) for axis in columns)


def axes_of(x, axis: int | Sequence[int]) -> list[int]:
    axes = [axis] if isinstance(axis, int) else list(axis)
    return [a % len(x.shape) for a in axes]


def index(x: Value, key) -> Value:
    key = key if isinstance(key, tuple) else (key,)
    used = sum(k is not None and k is not Ellipsis for k in key)
    where_rest = key.index(Ellipsis) if Ellipsis in key else len(key)
    rest = (slice(None),) * (len(x.shape) - used)
    key = (*key[:where_rest], *rest, *key[where_rest + 1 :])
    indices = [k for k in key if k is not None]
    x = slices(x, [slice(None) if isinstance(k, int) else k for k in indices])
    for axis, k in reversed(list(enumerate(indices))):
        x = gather(x, np.array(k, np.int64), axis) if isinstance(k, int) else x
    for axis, k in enumerate(k for k in key if not isinstance(k, int)):
        x = unsqueeze(x, axis) if k is None else x
    return x


def gather(x: Any, indices: Any, axis: int) -> Value:
    shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
    return emit("Gather", x, indices, shape=shape, dtype=x.dtype, axis=axis)


def unsqueeze(x: Value, axis: int) -> Value:
    return emit("Unsqueeze", x, np.array([axis], np.int64), shape=(*x.shape[:axis], 1, *x.shape[axis:]))


def cut_length(length: int | None, k: slice) -> int | None:
    """The length of an axis after a slice, or None where it depends on the input."""
    if length is not None:
        return len(range(length)[k])
    return 1 if k == slice(k.start, (k.start or 0) + 1) else None


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
        shape[axis] = shape[axis] if whole else cut_length(shape[axis], k)
    bounds = [np.array(b, np.int64) for b in (first, last, [axis for axis, _ in cut], steps)]
    return emit("Slice", x, *bounds, shape=shape)

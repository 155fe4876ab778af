"""The Loop operator, written from the inside."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import helper

from keras_rnnkit.export.writing.emitter import Emitter
from keras_rnnkit.export.writing.scan_loop import described, results_of
from keras_rnnkit.ops import onnx as ops
from keras_rnnkit.ops.onnx import Value


class WhileLoop:
    """A Loop under construction: say what it carries, write the body, then close it.

        carried, again, stacked_t = body(t, carried)        at most `limit` times, as long as `again`

    Values from outside may be used in the body as they are.
    """

    def __init__(self, graph: Emitter, limit: Value):
        self.limit = limit
        self.body = graph.inner()
        self.t = Value(self.body, self.body.name("t"), (), np.int64)
        self.starts: list[Value] = []
        self.carried: list[Value] = []

    def carry(self, start: Value, shape: tuple[int | None, ...] | None = None) -> Value:
        """What goes round, as a turn finds it; `shape` where it is not the same at every turn."""
        self.starts.append(start)
        name = self.body.name("carried")
        self.carried.append(Value(self.body, name, start.shape if shape is None else shape, start.dtype))
        return self.carried[-1]

    def close(self, carried: list[Value], again: Value, stacked: list[Value]) -> tuple[list[Value], list[Value]]:
        """The last carried values, and the stacked ones [turns, ...]."""
        condition = Value(self.body, self.body.name("again"), (), np.bool_)
        inputs = [self.t, condition, *self.carried]
        results = results_of(self.body, [again, *carried, *stacked], {value.name for value in inputs})
        graph = helper.make_graph(
            self.body.nodes, self.body.name("body"), [described(v) for v in inputs], [described(v) for v in results]
        )
        outputs = [(v.shape, v.dtype) for v in self.carried] + [((None, *v.shape), v.dtype) for v in stacked]
        start = np.array(True)
        values = ops.emit_many("Loop", self.limit, start, *self.starts, outputs=outputs, body=graph)
        return values[: len(carried)], values[len(carried) :]


def length_of_second_axis(x: Any) -> Any:
    """The number of steps of x [B, T, ...], for a limit."""
    return ops.emit("Shape", x, shape=(len(x.shape),), dtype=np.int64)[1]

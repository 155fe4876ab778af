"""The Scan operator, written from the inside."""

from __future__ import annotations

from typing import Any

from onnx import ValueInfoProto, helper

from keras_rnnkit.export.writing.emitter import Emitter
from keras_rnnkit.export.writing.rewriting import rewritten
from keras_rnnkit.ops import onnx as ops
from keras_rnnkit.ops.onnx import Value


class Loop:
    """A Scan under construction: say what it carries and reads, write the body with them, then close it.

        carried_t, stacked_t = body(carried_{t-1}, each_t)

    Values from outside may be used in the body as they are.
    """

    def __init__(self, graph: Emitter):
        self.outside = graph
        self.body = graph.inner()
        self.starts: list[Value] = []
        self.sequences: list[Value] = []
        self._carried: list[Value] = []
        self._each: dict[str, Value] = {}

    def carry(self, start: Value) -> Value:
        """What goes round, [B, ...], as a step finds it."""
        self.starts.append(start)
        self._carried.append(Value(self.body, self.body.name("carried"), start.shape, start.dtype))
        return self._carried[-1]

    def each(self, sequence: Any) -> Any:
        """One step [B, ...] of a sequence [T, B, ...]; a constant is the same at every step."""
        if not isinstance(sequence, Value):
            return sequence
        if sequence.name not in self._each:
            self.sequences.append(sequence)
            name = self.body.name("each")
            self._each[sequence.name] = Value(self.body, name, sequence.shape[1:], sequence.dtype)
        return self._each[sequence.name]

    def close(self, carried: list[Any], stacked: list[Any]) -> tuple[list[Value], list[Value]]:
        """The last carried values, and the stacked ones [T, B, ...]."""
        length = self.sequences[0].shape[0]
        shapes = {v.name: v.shape for v in (*self._carried, *self._each.values())}
        results = results_of(self.body, [*carried, *stacked], set(shapes))
        graph = helper.make_graph(
            rewritten(self.body.nodes, self.body.initializers, {v.name for v in results}, self.body.opset, shapes),
            self.body.name("body"),
            [described(v) for v in (*self._carried, *self._each.values())],
            [described(v) for v in results],
        )
        count = len(carried)
        outputs = [(v.shape, v.dtype) for v in self.starts]
        outputs += [((length, *v.shape), v.dtype) for v in results[count:]]
        values = ops.emit_many(
            "Scan",
            *self.starts,
            *self.sequences,
            outputs=outputs,
            body=graph,
            num_scan_inputs=len(self.sequences),
        )
        return values[:count], values[count:]


def results_of(body: Emitter, values: list[Any], inputs: set[str]) -> list[Value]:
    """The values as results of a body: each the output of one of its nodes, no two the same."""
    results: list[Value] = []
    for value in values:
        taken = value.graph is not body or value.name in inputs or value.name in {r.name for r in results}
        if taken:
            (name,) = body.node("Identity", [value.name])
            value = Value(body, name, value.shape, value.dtype)
        results.append(value)
    return results


def described(value: Value) -> ValueInfoProto:
    kind = helper.np_dtype_to_tensor_dtype(value.dtype)
    return helper.make_tensor_value_info(value.name, kind, list(value.shape))

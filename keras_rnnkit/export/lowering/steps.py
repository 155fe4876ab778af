"""Time-major sequences for a loop, and back: masks, reversal and resets are handled before the loop runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from keras_rnnkit.export.writing.emitter import Emitter
from keras_rnnkit.ops import onnx as ops
from keras_rnnkit.ops.onnx import Value


@dataclass
class TimeSteps:
    """The steps in the order in which they run.

    x: [T, B, D]. reset: [T, B, 1] booleans, or None; starts: what each state [B, size] goes back to then.
    valid: [T, B, 1] booleans, the steps at which states change; None if all are.
    lengths: [B] int32, at least 1, where all valid steps of a row are its first ones; None otherwise.
    rows: the number of rows, None where it is free. integers: whether products should be of integers.
    full: whether it is certain that there are rows and steps.
    """

    x: Value
    valid: Value | None = None
    reset: Value | None = None
    lengths: Value | None = None
    starts: list[Value] | None = None
    rows: int | None = None
    integers: bool = False
    full: bool = False

    def outputs(self, y: Value, zero: bool) -> Value:
        """[B, T, U] from y [T, B, U]; `zero`: zeros at masked steps, instead of the last valid output."""
        y = ops.transpose(y, 1, 0, 2)
        if self.valid is None:
            return y
        visible = ops.transpose(self.valid, 1, 0, 2)
        if not zero:  # before its first valid step a row has zeros too
            visible = ops.cumsum(ops.as_dtype(visible, np.dtype(np.int32)), axis=1) > 0
        return ops.where(visible, y, 0.0)

    def last(self, y: Value, zero: bool) -> Value:
        """The last output [B, U], from that of the last valid step."""
        if self.valid is None:
            return y
        return ops.where(self.valid[-1] if zero else self.ever_valid(), y, 0.0)

    def at_last_step(self, y: Value) -> Value:
        """[B, U] from y [T, B, U]: each row's value at its last valid step; only where there are `lengths`."""
        raise NotImplementedError

    def ever_valid(self) -> Value:
        """[B, 1]: the rows with a valid step."""
        assert self.valid is not None
        flags = ops.as_dtype(self.valid, np.dtype(np.int32))
        return ops.sum(flags, axis=0) > 0

    def final(self, state: Value, start: Value | None) -> Value:
        """The last state: that of the last valid step, or where the row started if it has none."""
        if self.valid is None:
            return state
        return ops.where(self.ever_valid(), state, 0.0 if start is None else start)


@dataclass
class CompactTimeSteps(TimeSteps):
    """Each row's valid steps moved to its front; the steps after them are zeros."""

    order: Compaction | None = None
    """Where each step came from; never None, a default only because the fields before it have some."""

    def outputs(self, y, zero):
        assert self.order is not None
        return self.order.spread(y, zero)

    def last(self, y, zero):
        assert self.order is not None
        return ops.where(self.order.mask[:, -1:] if zero else self.ever_valid(), y, 0.0)

    def ever_valid(self):
        assert self.order is not None
        return ops.expand_dims(self.order.lengths > 0, 1)

    def at_last_step(self, y: Value) -> Value:
        """[B, U] from y [T, B, U]: each row's value at its last valid step."""
        assert self.order is not None
        return ops.take(ops.reshape(y, (-1, y.shape[-1])), self.order.last)


class Compaction:
    """Where each step of a mask [B, T] goes when every row's valid steps are moved to its front.

        count[b, t] = number of valid steps up to and including t
        place[b, t] = count - 1 if valid, otherwise behind all valid ones, in order

    A gather of whole rows does both the move and the transposition, and takes no more steps than the longest row has.
    With go_backwards all of this is said of the mirrored sequence.
    """

    def __init__(self, mask: Value, go_backwards: bool):
        mask = refusing_empty(mask)
        self.mask = mask[:, ::-1] if go_backwards else mask
        valid = ops.as_dtype(self.mask, np.dtype(np.int64))
        shape = ops.emit("Shape", valid, shape=(2,), dtype=np.int64)
        batch, length = shape[0], shape[1]
        self.rows = ops.expand_dims(arange(batch), 1)  # [B, 1]
        self.batch = batch
        steps = arange(length)  # [T]
        self.count = ops.cumsum(valid, axis=1)
        self.lengths = ops.sum(valid, axis=1)  # [B]
        place = ops.where(self.mask, self.count - 1, ops.expand_dims(self.lengths, 1) + steps - self.count)
        source = ops.emit("Expand", length - 1 - steps if go_backwards else steps, shape, shape=mask.shape)
        source = ops.emit("ScatterElements", ops.zeros_like(valid), place, source, shape=mask.shape, axis=1)
        # A row without valid steps runs one step of zeros, whose result is never read: no loop may be empty.
        self.stops = ops.maximum(self.lengths, 1)  # [B]
        self.last = (self.stops - 1) * batch + arange(batch)  # [B] into rows t * B + b
        longest = ops.max(self.stops, axis=0)
        index = ops.transpose(source + self.rows * length, 1, 0)  # [T, B] into rows b * T + t
        self.index = ops.emit(
            "Slice",
            index,
            np.array([0], np.int64),
            ops.reshape(longest, (1,)),
            np.array([0], np.int64),
            shape=index.shape,
        )
        self.valid = ops.expand_dims(ops.expand_dims(arange(longest), 1) < self.lengths, 2)  # [T, B, 1]

    def time_steps(self, x: Value) -> CompactTimeSteps:
        moved = ops.take(ops.reshape(x, (-1, x.shape[-1])), self.index)
        return CompactTimeSteps(
            x=ops.where(self.valid, moved, 0.0),
            valid=self.valid,
            lengths=ops.as_dtype(self.stops, np.dtype(np.int32)),
            order=self,
            full=True,
        )

    def spread(self, y: Value, zero: bool) -> Value:
        """y [T, B, U] back where it came from, [B, T, U], repeating the last valid output or zeros."""
        latest = ops.maximum(self.count - 1, 0)
        spread = ops.take(ops.reshape(y, (-1, y.shape[-1])), latest * self.batch + self.rows)
        return ops.where(ops.expand_dims(self.mask if zero else self.count > 0, 2), spread, 0.0)


def refusing_empty(x: Value) -> Value:
    """x; an error when it is run without rows or steps, on which onnxruntime's LSTM and GRU end the process.

    A reshape to the same shape with one axis left to infer fails if any other axis is empty.
    """
    graph, rank = cast(Emitter, x.graph), len(x.shape)
    for axis in (0, 1) if rank == 2 else (rank - 1,):
        shape = graph.constant(np.array([-1 if i == axis else 0 for i in range(rank)]))
        (name,) = graph.node("Reshape", [x.name, shape])
        graph.nodes[-1].name = f"no_empty/{name}"
        x = Value(graph, name, x.shape, x.dtype)
    return x


def arange(stop: Value) -> Value:
    return ops.emit("Range", np.array(0, np.int64), stop, np.array(1, np.int64), shape=(None,))


def time_steps(
    x: Value, mask: Value | None, reset: Value | None, go_backwards: bool, orders: dict[Any, Compaction]
) -> TimeSteps:
    """The steps for sequences [B, T, D] with flags [B, T]; `orders` keeps what layers with the same mask share."""
    if mask is not None and reset is None:
        key = (id(mask.graph), mask.name, go_backwards)
        if key not in orders:
            orders[key] = Compaction(mask, go_backwards)
        return orders[key].time_steps(x)
    return TimeSteps(
        x=in_time_order(x, go_backwards),
        valid=None if mask is None else in_time_order(ops.expand_dims(mask, 2), go_backwards),
        reset=None if reset is None else in_time_order(ops.expand_dims(reset, 2), go_backwards),
    )


def in_time_order(x: Value, go_backwards: bool) -> Value:
    x = ops.transpose(x, 1, 0, 2)
    return x[::-1] if go_backwards else x

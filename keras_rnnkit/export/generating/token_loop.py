"""The token loop, written into a graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras_rnnkit.decoding import Strategy
from keras_rnnkit.export.writing.emitter import Emitter
from keras_rnnkit.export.writing.while_loop import WhileLoop
from keras_rnnkit.ops import onnx as ops
from keras_rnnkit.ops.onnx import Value

Step = Callable[[Emitter, Value, list[Value]], tuple[Value, list[Value], Value | None]]
"""(logits [R, V], states, attention [R, S] or None) = step(graph to write into, token [R], states)."""


class TokenLoop:
    """`keras_rnnkit.decoding`'s loop as an operator of ONNX.

    root: the graph it stands in. noise: [B, steps], or None. limit: the greatest number of tokens.
    """

    def __init__(self, root: Emitter, strategy: Strategy, end: int | None, noise: Value | None, limit: Value):
        self.root, self.strategy, self.end, self.noise, self.limit = root, strategy, end, noise, limit

    def run(self, step: Step, logits: Value, states: list[Value], attention: Value | None = None):
        """What the strategy carries at the end, all tokens [R, N], and the attention for each [R, N, S].

        logits, states, attention: what the step gave for the token that begins, a row for each hypothesis.
        """
        strategy, loop = self.strategy, WhileLoop(self.root, self.limit)
        begun = strategy.begin(ops, logits)
        carry = type(begun)(*(loop.carry(value) for value in begun))
        latest_logits, latest_states = loop.carry(logits), [loop.carry(state) for state in states]
        latest_attention = None if attention is None else loop.carry(attention)
        histories = self.histories(loop, begun, attention)
        drawn = None if self.noise is None else ops.take(self.noise, loop.t, axis=1)
        after, rows = strategy.advance(ops, carry, latest_logits, drawn, self.end)
        newest = [after.token]
        if latest_attention is not None:
            newest.append(following(rows, latest_attention))
        longer = [appended(rows, *pair) for pair in zip(histories, newest, strict=False)]
        scores, states, attended = step(loop.body, after.token, [following(rows, x) for x in latest_states])
        unfinished = ops.sum(ops.reshape(strategy.over(ops, after), (-1,)) - 1.0, axis=0) < -0.5
        carried = [*after, scores, *states, *([] if attended is None else [attended]), *longer]
        ends, stacks = loop.close(carried, unfinished, [] if histories else newest)
        kept = ends[-len(longer) :] if histories else [time_second(stack) for stack in stacks]
        return type(begun)(*ends[: len(begun)]), kept[0], kept[1] if attention is not None else None

    def histories(self, loop: WhileLoop, begun: Any, attention: Value | None) -> list[Value]:
        """What grows turn by turn, where rows may change places; elsewhere the loop stacks it."""
        if self.strategy.rows == 1:
            return []
        newest = [begun.token] if attention is None else [begun.token, attention]
        return [loop.carry(ops.expand_dims(x, 1)[:, :0], (None, None, *x.shape[1:])) for x in newest]


def following(rows: Value | None, x: Value) -> Value:
    """x with each row that of the row it goes on from."""
    return x if rows is None else ops.take(x, rows, axis=0)


def appended(rows: Value | None, history: Value, newest: Value) -> Value:
    return ops.concatenate([following(rows, history), ops.expand_dims(newest, 1)], axis=1)


def time_second(x: Value) -> Value:
    """[R, N, ...] from [N, R, ...]."""
    return ops.transpose(x, 1, 0, *range(2, len(x.shape)))

"""Prompts of different lengths in one batch, read inside a graph."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from keras_rnnkit.export.lowering.context import length_of
from keras_rnnkit.export.writing.emitter import Emitter
from keras_rnnkit.export.writing.while_loop import WhileLoop
from keras_rnnkit.ops import onnx as ops
from keras_rnnkit.ops.onnx import Value

Chunk = Callable[[Emitter, Value, list[Value]], tuple[Value, list[Value]]]
"""(logits [B, V] after the last step, states) = chunk(graph to write into, tokens [B, T], states)."""

UNSET = np.array([-1], np.int64)
"""The default of the input of lengths. It stands for the whole length of the prompts, whatever their batch is."""


def read_prompts(
    root: Emitter, chunk: Chunk, prompts: Value, lengths: Value, states: list[Value]
) -> tuple[Value, list[Value]]:
    """(logits [B, V], states) with which each row goes on from its own prompt.

    The steps that all rows have are one chunk. After it comes a loop over the steps that only longer rows have, in
    which the rows that have ended keep their logits and states. Where all prompts have one length it does not turn.

    Arguments:
        root: the graph that is written into.
        chunk: the model over some steps.
        prompts: tokens [B, T], each prompt from the first column on.
        lengths: tokens of each prompt [B], or UNSET.
    """
    lengths = whole_lengths(prompts, lengths)
    shortest, longest = -ops.max(-lengths, axis=0), ops.max(lengths, axis=0)
    logits, states = chunk(root, first_steps(prompts, shortest), states)
    loop = WhileLoop(root, longest - shortest)
    latest_logits, latest_states = loop.carry(logits), [loop.carry(state) for state in states]
    place = loop.t + shortest
    live = place < lengths
    token = ops.where(live, ops.take(prompts, place, axis=1), ops.zeros_like(lengths))  # padding may be any number
    after, states = chunk(loop.body, ops.as_dtype(ops.expand_dims(token, 1), prompts.dtype), latest_states)
    before = [latest_logits, *latest_states]
    carried = [chosen(live, new, old) for new, old in zip([after, *states], before, strict=True)]
    (logits, *states), _ = loop.close(carried, place < longest, [])
    return logits, states


def whole_lengths(prompts: Value, lengths: Value) -> Value:
    """The lengths [B], each 1 to T; T where they are not set."""
    most = length_of(prompts, 1)
    lengths = ops.where(lengths < 1, most, ops.minimum(lengths, most))
    return lengths + ops.cast(ops.zeros_like(prompts[:, 0]), UNSET)


def first_steps(x: Value, count: Value) -> Value:
    """x[:, :count]"""
    return ops.emit("Slice", x, np.array([0]), ops.reshape(count, (1,)), np.array([1]), shape=(x.shape[0], None))


def chosen(rows: Value, a: Value, b: Value) -> Value:
    """The rows of `a` where the flags are true, those of `b` elsewhere; both [B, ...]."""
    for _ in a.shape[1:]:
        rows = ops.expand_dims(rows, len(rows.shape))
    return ops.where(rows, a, b)

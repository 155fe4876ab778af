"""The token loop of a model that attends to a source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from keras_rnnkit.decoding.loop import last_step, run_steps
from keras_rnnkit.decoding.strategy import Strategy
from keras_rnnkit.ops.protocol import Array, Ops

Attending = Callable[[Array, list[Array]], tuple[Array, Sequence[Array], Array]]
"""(logits [R, V], states, attention [R, S]) = step(tokens [R], states)."""


class Aligned(NamedTuple):
    """Like `Generated`, with the attention of each token, its weights over the source: [B(, K), N, S].

    Without attention S is 0. A score is the sum of the log-probabilities of all tokens, including the end token.
    """

    tokens: Array
    scores: Array
    lengths: Array
    attention: Array


def align(
    ops: Ops,
    step: Attending,
    first: tuple[Array, Sequence[Array], Array],
    strategy: Strategy,
    steps: int,
    noise: Array | None = None,
    end: int | None = None,
) -> Aligned:
    """The tokens that `generate` returns, with the attention of each.

    Arguments:
        ops, strategy, steps, noise, end: as for `generate`.
        step: the decoder over one token.
        first: what the decoder returned for the first token.

    >>> import numpy as np
    >>> import keras_rnnkit.ops.numpy as ops
    >>> from keras_rnnkit.decoding import Greedy
    >>> follow, looks = np.array([[0, 9, 0], [0, 0, 9], [9, 0, 0]], np.float32), np.eye(3)  # 0 -> 1 -> 2 -> 0
    >>> step = lambda token, states: (follow[token], states, looks[token])
    >>> aligned = align(ops, step, step(np.array([0]), []), Greedy(), steps=5, end=0)
    >>> aligned.tokens.tolist(), aligned.attention[0].argmax(-1).tolist()
    ([[1, 2, 0]], [0, 1, 2])
    """
    logits, states, attention = first

    def with_attention(tokens, states):
        *states, earlier = states
        logits, states, attention = step(tokens, states)
        return logits, [*states, ops.concatenate([earlier, ops.expand_dims(attention, 1)], axis=1)]

    states = [*states, ops.expand_dims(attention, 1)]
    last = last_step(run_steps(ops, with_attention, logits, states, strategy, steps, noise, end))
    rows, scores, lengths = strategy.ranked(ops, last.carry)
    tokens, weights = (x if rows is None else ops.take(x, rows, axis=0) for x in (last.tokens, last.states[-1]))
    return Aligned(tokens, scores, lengths, weights)

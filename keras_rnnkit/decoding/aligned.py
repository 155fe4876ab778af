"""The token loop of a model that looks at a source while it writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from keras_rnnkit.decoding.loop import finished, walk
from keras_rnnkit.decoding.strategy import Strategy
from keras_rnnkit.ops.protocol import Array, Ops

Attending = Callable[[Array, list[Array]], tuple[Array, Sequence[Array], Array]]
"""(logits [R, V], states, where it looked [R, S]) = step(tokens [R], states)."""


class Aligned(NamedTuple):
    """As `Generated`, and for each token where the model looked when it chose it: attention [B(, K), N, S].

    Without attention S is 0. A score is a sum of log-probabilities, the end token's among them.
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
    """Tokens as `generate` gives them, with the attention that went with each.

    Arguments:
        step: the decoder over one token. first: what it returned for the token that begins.

    >>> import numpy as np
    >>> import keras_rnnkit.ops.numpy as ops
    >>> from keras_rnnkit.decoding import Greedy
    >>> follow, looks = np.array([[0, 9, 0], [0, 0, 9], [9, 0, 0]], np.float32), np.eye(3)  # 0 -> 1 -> 2 -> 0
    >>> step = lambda token, states: (follow[token], states, looks[token])
    >>> found = align(ops, step, step(np.array([0]), []), Greedy(), steps=5, end=0)
    >>> found.tokens.tolist(), found.attention[0].argmax(-1).tolist()
    ([[1, 2, 0]], [0, 1, 2])
    """
    logits, states, looked = first

    def noted(tokens, states):
        *states, before = states
        logits, states, looked = step(tokens, states)
        return logits, [*states, ops.concatenate([before, ops.expand_dims(looked, 1)], axis=1)]

    states = [*states, ops.expand_dims(looked, 1)]
    turn = finished(walk(ops, noted, logits, states, strategy, steps, noise, end))
    rows, scores, lengths = strategy.ranked(ops, turn.carry)
    tokens, attention = (x if rows is None else ops.take(x, rows, axis=0) for x in (turn.tokens, turn.states[-1]))
    return Aligned(tokens, scores, lengths, attention)

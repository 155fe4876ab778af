"""Beam search."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from keras_rnnkit.decoding.errors import DecodingError
from keras_rnnkit.decoding.sampling import numbers_of
from keras_rnnkit.decoding.strategy import SINGLE, WHOLE, Strategy, equal
from keras_rnnkit.ops.protocol import Array, Ops

NONE_YET = -1e9
"""The score of a hypothesis that does not exist yet. It is finite, so that it can be reported as JSON."""


class Hypotheses(NamedTuple):
    """The state of K hypotheses of each of B sequences. token: [B * K]; the other fields [B, K], as in `Picked`.

    greedy: 1.0 for the hypothesis that took the likeliest token every time, 0.0 for the others.
    """

    token: Array
    score: Array
    length: Array
    finished: Array
    greedy: Array


class Beam(Strategy):
    """Keeps the `width` best hypotheses, and extends each of them by every token.

        score = sum of log p(token);  ranked at the end by score / ((5 + length) / 6) ** length_penalty

    Paper: Wu, Google's neural machine translation system, 2016 (the penalty; 0 ranks by the score itself). A finished
    hypothesis stays in the beam as it is while fewer than `width` others are better. The hypothesis that `Greedy` would
    return always stays, so the best of a beam never ranks below it. A plain beam search may drop it and end with a
    worse one.

    The hypotheses of a sequence are consecutive rows of the batch: row b * width + k is hypothesis k of sequence b.
    Where there are fewer than `width` continuations, the missing hypotheses are reported last, with scores of -1e9 and
    below.

    Arguments:
        width: number K of hypotheses of each sequence; with 1 it is `Greedy`.
        length_penalty: 0 ranks by the score, which favours short hypotheses; 0.6 to 1 is common.
        early_stopping: end when the best hypothesis of every sequence is finished, instead of all hypotheses. Without a
            length penalty the best one is the same, because scores only fall; the others may be cut short.

    >>> import keras_rnnkit.ops.numpy as ops
    >>> from keras_rnnkit.decoding import generate
    >>> p = np.array([[0.4, 0.6, 0.0], [0.3, 0.3, 0.4], [0.9, 0.1, 0.0]], np.float32) + 1e-9  # by the token before
    >>> follow = lambda token, states: (np.log(p)[token], states)
    >>> generate(ops, follow, np.log(p)[[0]], [], Beam(2), steps=3).tokens.tolist()  # 0.6 * 0.4 * 0.9, ...
    [[[1, 2, 0], [0, 1, 2]]]
    """

    def __init__(self, width: int = 4, length_penalty: float = 0.0, early_stopping: bool = False):
        if isinstance(width, bool) or not isinstance(width, int | float | np.number) or not width >= 1 or width % 1:
            raise DecodingError(f"width must be a number of hypotheses, 1 or more. Received: width={width}.")
        penalty = numbers_of("length_penalty", length_penalty)
        if penalty is None or penalty.ndim or not np.isfinite(penalty):
            raise DecodingError(f"length_penalty must be a finite number. Received: length_penalty={length_penalty}.")
        self.width = self.rows = int(width)
        self.length_penalty = float(penalty)
        self.early_stopping = early_stopping

    def begin(self, ops: Ops, logits: Array) -> Hypotheses:
        """One hypothesis for each sequence. The other ones would be copies of it, so they get the score `NONE_YET`."""
        none = ops.sum(ops.zeros_like(ops.cast(logits, SINGLE)), axis=-1)
        zeros = ops.reshape(none, (-1, self.width))
        first = np.arange(self.width) == 0
        whole = ops.cast(none, WHOLE)
        return Hypotheses(
            token=whole,
            score=zeros + np.where(first, 0.0, NONE_YET).astype(np.float32),
            length=ops.reshape(whole, (-1, self.width)),
            finished=zeros,
            greedy=zeros + first.astype(np.float32),
        )

    def advance(self, ops, carry, logits, noise, end):
        count = logits.shape[-1]
        gain = ops.activation("log_softmax", ops.cast(logits, SINGLE))
        gain = self.allowed(ops, ops.reshape(gain, (-1, self.width, count)), 2 * NONE_YET)
        if end is not None:
            stay = np.where(np.arange(count) == end, 0.0, -np.inf).astype(np.float32)
            gain = ops.where(ops.expand_dims(carry.finished, 2) > 0.5, stay, gain)
        total = ops.reshape(ops.expand_dims(carry.score, 2) + gain, (-1, self.width * count))
        score, candidate, greedy = self.best_candidates(ops, carry, gain, total)
        parent = self.parent_of(ops, candidate, count)
        token = candidate - parent * count
        finished = ops.take_along_axis(carry.finished, parent, axis=1)
        length = ops.take_along_axis(carry.length, parent, axis=1) + ops.cast(finished < 0.5, WHOLE)
        if end is not None:
            finished = ops.maximum(finished, equal(ops, token, end, like=finished))
        rows = ops.reshape(parent + self.first_rows(ops, parent), (-1,))
        return Hypotheses(ops.reshape(token, (-1,)), score, length, finished, greedy), rows

    def best_candidates(self, ops: Ops, carry: Hypotheses, gain: Array, total: Array) -> tuple[Array, Array, Array]:
        """(scores, candidates, 1.0 where a candidate continues the greedy hypothesis), each [B, K], the best first.

        A candidate is a hypothesis and its next token, as one number: hypothesis * vocabulary size + token.
        """
        score, candidate = ops.top_k(total, self.width)
        candidate = ops.cast(candidate, WHOLE)
        k = np.arange(self.width)
        likeliest = ops.cast(ops.argmax(gain, axis=-1), WHOLE) + k * gain.shape[-1]
        of_greedy = ops.sum(likeliest * ops.cast(carry.greedy, WHOLE), axis=-1, keepdims=True)
        survives = ops.max(equal(ops, candidate, of_greedy, like=score), axis=-1, keepdims=True)
        replaced = survives < np.where(k == self.width - 1, 0.5, -1.0).astype(np.float32)
        candidate = ops.where(replaced, of_greedy, candidate)
        score = ops.where(replaced, ops.take_along_axis(total, of_greedy, axis=1), score)
        return score, candidate, equal(ops, candidate, of_greedy, like=score)

    def over(self, ops, carry):
        """1.0 for sequences whose hypotheses are all finished, or with early stopping the best of them."""
        if not self.early_stopping:
            return carry.finished
        best = ops.expand_dims(ops.argmax(self.rank(ops, carry), axis=-1), 1)
        return ops.maximum(carry.finished, ops.take_along_axis(carry.finished, best, axis=1))

    def rank(self, ops: Ops, carry: Hypotheses) -> Array:
        length = ops.cast(carry.length, carry.score)
        return carry.score / ops.exp(self.length_penalty * ops.log((5.0 + length) / 6.0))

    def parent_of(self, ops: Ops, candidate: Array, count: int) -> Array:
        """The hypothesis that each candidate continues."""
        parent = ops.zeros_like(candidate)
        for k in range(1, self.width):
            parent = parent + ops.cast(candidate >= k * count, WHOLE)
        return parent

    def first_rows(self, ops: Ops, like: Array) -> Array:
        """The row of each sequence's first hypothesis, [B, K]."""
        return ops.cumsum(ops.zeros_like(like) + self.width, axis=0) - self.width

    def ranked(self, ops, carry):
        """The best hypothesis first: rows, scores and lengths [B, K]."""
        _, order = ops.top_k(self.rank(ops, carry), self.width)
        order = ops.cast(order, WHOLE)
        scores, lengths = (ops.take_along_axis(x, order, axis=1) for x in (carry.score, carry.length))
        return order + self.first_rows(ops, order), scores, lengths

"""Beam search."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from keras_rnnkit.decoding.errors import DecodingError
from keras_rnnkit.decoding.sampling import numbers_of
from keras_rnnkit.decoding.strategy import SINGLE, WHOLE, Strategy, equal
from keras_rnnkit.ops.protocol import Array, Ops

NONE_YET = -1e9
"""The score of a place for which there is no hypothesis yet. Finite, so that it can be reported as JSON."""


class Hypotheses(NamedTuple):
    """Where each of K hypotheses of B sequences stands. token: [B * K]; the others [B, K], as in `Picked`.

    greedy: 1.0 at the place of the hypothesis that took the likeliest token every time.
    """

    token: Array
    score: Array
    length: Array
    finished: Array
    greedy: Array


class Beam(Strategy):
    """Keeps the `width` best beginnings, and lets each go on with every token.

        score = sum of log p(token);  ranked at the end by score / ((5 + length) / 6) ** length_penalty

    Paper: Wu, Google's neural machine translation system, 2016 (the penalty; 0 ranks by the score itself). A finished
    hypothesis keeps its place as it is as long as no more than width - 1 others are better. The one that `Greedy` would
    have found keeps a place whatever comes, so the best of a beam never ranks below it; a plain beam may drop it, and
    then find nothing as good.

    The rows of a sequence stand one below the other: row b * width + k is hypothesis k of sequence b. Where there are
    fewer continuations than places, the places left over are reported last, with scores of -1e9 and below.

    Arguments:
        width: hypotheses kept of each sequence, K; with 1 it is `Greedy`.
        length_penalty: 0 ranks by the score, which favours short hypotheses; 0.6 to 1 is common.
        early_stopping: end when the best hypothesis so far of every sequence is finished, instead of all of them. The
            best is the same where there is no length penalty, since scores only fall; the others may be cut short.

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
        """One live hypothesis; the others would only repeat it."""
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
        score, place, greedy = self.kept(ops, carry, gain, total)
        parent = self.parent_of(ops, place, count)
        token = place - parent * count
        finished = ops.take_along_axis(carry.finished, parent, axis=1)
        length = ops.take_along_axis(carry.length, parent, axis=1) + ops.cast(finished < 0.5, WHOLE)
        if end is not None:
            finished = ops.maximum(finished, equal(ops, token, end, like=finished))
        rows = ops.reshape(parent + self.first_rows(ops, parent), (-1,))
        return Hypotheses(ops.reshape(token, (-1,)), score, length, finished, greedy), rows

    def kept(self, ops: Ops, carry: Hypotheses, gain: Array, total: Array) -> tuple[Array, Array, Array]:
        """(scores, places among all tokens of all hypotheses, 1.0 at greedy's place), each [B, K], the best first."""
        score, place = ops.top_k(total, self.width)
        place = ops.cast(place, WHOLE)
        k = np.arange(self.width)
        likeliest = ops.cast(ops.argmax(gain, axis=-1), WHOLE) + k * gain.shape[-1]
        mine = ops.sum(likeliest * ops.cast(carry.greedy, WHOLE), axis=-1, keepdims=True)
        there = ops.max(equal(ops, place, mine, like=score), axis=-1, keepdims=True)
        last = there < np.where(k == self.width - 1, 0.5, -1.0).astype(np.float32)
        place = ops.where(last, mine, place)
        score = ops.where(last, ops.take_along_axis(total, mine, axis=1), score)
        return score, place, equal(ops, place, mine, like=score)

    def over(self, ops, carry):
        """Where all hypotheses are finished, or with early stopping the best of them."""
        if not self.early_stopping:
            return carry.finished
        best = ops.expand_dims(ops.argmax(self.rank(ops, carry), axis=-1), 1)
        return ops.maximum(carry.finished, ops.take_along_axis(carry.finished, best, axis=1))

    def rank(self, ops: Ops, carry: Hypotheses) -> Array:
        length = ops.cast(carry.length, carry.score)
        return carry.score / ops.exp(self.length_penalty * ops.log((5.0 + length) / 6.0))

    def parent_of(self, ops: Ops, place: Array, count: int) -> Array:
        """Which hypothesis a place among all their tokens belongs to."""
        parent = ops.zeros_like(place)
        for k in range(1, self.width):
            parent = parent + ops.cast(place >= k * count, WHOLE)
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

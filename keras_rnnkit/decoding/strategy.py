"""What a decoding strategy is: how the next token follows from the scores of all tokens."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from keras_rnnkit.ops.protocol import Array, Ops

WHOLE = np.zeros(0, np.int64)
"""What whole numbers are cast to."""
SINGLE = np.zeros(0, np.float32)
"""What scores are cast to: the small steps of half precision would change what is drawn."""


class Picked(NamedTuple):
    """Where each sequence stands, each [B].

    token: the last one. score: sum of the log-probabilities of all tokens so far, by the model itself: before any
    temperature or filter. length: how many they are, the end token among them. finished: 1.0 after the end token,
    0.0 before.
    """

    token: Array
    score: Array
    length: Array
    finished: Array


class Strategy:
    """Picks one token after the other. Override `pick`; it is written over `ops`, and so runs in Keras, in NumPy and
    inside an exported graph.

    >>> import keras_rnnkit.ops.numpy as ops
    >>> class Second(Strategy):
    ...     def pick(self, ops, logits, noise):
    ...         return ops.top_k(logits, 2)[1][:, 1]
    >>> Second().pick(ops, np.array([[0.1, 0.7, 0.2]]), None)
    array([2])
    """

    rows = 1
    """How many rows of the model's batch each sequence takes."""
    needs_noise = False
    """Whether `pick` reads its noise."""

    def pick(self, ops: Ops, logits: Array, noise: Array) -> Array:
        """The next tokens [B], whole numbers, from logits [B, V] and noise [B], uniform in [0, 1)."""
        raise NotImplementedError

    # What the token loop calls; `Beam` has its own.

    def begin(self, ops: Ops, logits: Array) -> Any:
        """Before the first token; logits [B, V] tell how many rows there are."""
        score = ops.sum(ops.zeros_like(ops.cast(logits, SINGLE)), axis=-1)
        none = ops.cast(score, WHOLE)
        return Picked(token=none, score=score, length=none, finished=score)

    def advance(self, ops: Ops, carry: Any, logits: Array, noise: Array, end: int | None) -> tuple[Any, Array | None]:
        """One token further: what is carried, and the row that each row goes on from (None: every row its own).

        A finished row stays as it is, and repeats the end token.
        """
        logits = ops.cast(logits, SINGLE)
        log_p = ops.activation("log_softmax", logits)
        token = ops.cast(self.pick(ops, logits, noise), WHOLE)
        gain = ops.take_along_axis(log_p, ops.expand_dims(token, 1), axis=1)[:, 0]
        live = carry.finished < 0.5
        finished = carry.finished
        if end is not None:
            token = ops.where(live, token, end)
            finished = ops.maximum(finished, equal(ops, token, end, like=finished))
        score = carry.score + ops.where(live, gain, 0.0)
        length = carry.length + ops.cast(live, WHOLE)
        return Picked(token, score, length, finished), None

    def over(self, ops: Ops, carry: Any) -> Array:
        """1.0 where no token has to follow; when that is so everywhere, the loop ends."""
        return carry.finished

    def ranked(self, ops: Ops, carry: Any) -> tuple[Array | None, Array, Array]:
        """(rows, scores, lengths) at the end: the row of each result, the best first (None: every row is its own)."""
        return None, carry.score, carry.length

    def result(self, ops: Ops, carry: Any, tokens: Array) -> tuple[Array, Array, Array]:
        """(tokens, scores, lengths) from what is carried at the end and all tokens [R, N]."""
        rows, scores, lengths = self.ranked(ops, carry)
        return tokens if rows is None else ops.take(tokens, rows, axis=0), scores, lengths


def equal(ops: Ops, tokens: Array, token: int, like: Array) -> Array:
    """1.0 where a token is that one, 0.0 elsewhere."""
    return ops.cast(ops.abs(tokens - token) < 1, like)

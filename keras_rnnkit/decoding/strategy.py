"""What a decoding strategy is: how the next token follows from the scores of all tokens."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, NamedTuple, Self

import numpy as np

from keras_rnnkit.decoding.errors import DecodingError
from keras_rnnkit.ops.protocol import Array, Ops

WHOLE = np.zeros(0, np.int64)
"""What whole numbers are cast to."""
SINGLE = np.zeros(0, np.float32)
"""What scores are cast to: the small steps of half precision would change what is drawn."""
IMPOSSIBLE = np.float32(-1e30)
"""The logit of a forbidden token: its probability is 0 at every temperature, and no difference of it is NaN."""


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
    forbidden: tuple[int, ...] = ()
    """Tokens that are never picked."""

    def forbidding(self, tokens: Iterable[int]) -> Self:
        """The same strategy, which never picks these tokens, such as that of an unknown word.

        Scores stay those of the model: the probability of a forbidden token is not shared among the others.

        >>> import keras_rnnkit.ops.numpy as ops
        >>> from keras_rnnkit.decoding import Greedy, generate
        >>> follow = np.array([[0, 9, 5], [5, 0, 9], [9, 5, 0]], np.float32)  # 0 -> 1 -> 2 -> 0
        >>> step = lambda token, states: (follow[token], states)
        >>> generate(ops, step, follow[[0]], [], Greedy().forbidding([1]), steps=4).tokens
        array([[2, 0, 2, 0]])
        """
        numbers = tuple(sorted({token_number(token) for token in tokens}))
        other = copy.copy(self)
        other.forbidden = numbers
        return other

    def allowed(self, ops: Ops, logits: Array, value: float | np.floating = IMPOSSIBLE) -> Array:
        """The logits, or other numbers [..., V] of tokens, with this value for forbidden tokens."""
        if not self.forbidden:
            return logits
        places = np.zeros(logits.shape[-1], bool)
        places[[token for token in self.forbidden if token < len(places)]] = True
        return ops.where(places, np.float32(value), logits)

    def pick(self, ops: Ops, logits: Array, noise: Array) -> Array:
        """The next tokens [B], whole numbers, from logits [B, V] and noise [B], uniform in [0, 1).

        Forbidden tokens have a logit of -1e30.
        """
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
        token = ops.cast(self.pick(ops, self.allowed(ops, logits), noise), WHOLE)
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


def token_number(token: Any) -> int:
    """A token as a whole number."""
    if not isinstance(token, int | np.integer) or isinstance(token, bool) or token < 0:
        raise DecodingError(f"Forbidden tokens must be numbers of tokens, 0 or more. Received: {token!r}.")
    return int(token)


def equal(ops: Ops, tokens: Array, token: int, like: Array) -> Array:
    """1.0 where a token is that one, 0.0 elsewhere."""
    return ops.cast(ops.abs(tokens - token) < 1, like)

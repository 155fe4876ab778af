"""The base class of decoding strategies, which choose the next token from the scores of all tokens."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, NamedTuple, Self

import numpy as np

from keras_rnnkit.decoding.errors import DecodingError
from keras_rnnkit.ops.protocol import Array, Ops

WHOLE = np.zeros(0, np.int64)
"""An array of the dtype to which whole numbers are cast."""
SINGLE = np.zeros(0, np.float32)
"""An array of the dtype to which scores are cast: in half precision, rounding would change the tokens drawn."""
IMPOSSIBLE = np.float32(-1e30)
"""The logit of a forbidden token: its probability is 0 at every temperature, and no difference of it is NaN."""


class Picked(NamedTuple):
    """The state of each sequence, arrays [B].

    token: the last token. score: sum of the log-probabilities of all tokens so far, by the model itself: before any
    temperature or filter. length: the number of tokens, including the end token. finished: 1.0 after the end token,
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
    """Rows of the model's batch for each sequence."""
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
        strategy = copy.copy(self)
        strategy.forbidden = numbers
        return strategy

    def allowed(self, ops: Ops, logits: Array, value: float | np.floating = IMPOSSIBLE) -> Array:
        """The logits, or other numbers [..., V] of tokens, with this value for forbidden tokens."""
        if not self.forbidden:
            return logits
        is_forbidden = np.zeros(logits.shape[-1], bool)
        is_forbidden[[token for token in self.forbidden if token < len(is_forbidden)]] = True
        return ops.where(is_forbidden, np.float32(value), logits)

    def pick(self, ops: Ops, logits: Array, noise: Array) -> Array:
        """The next tokens [B], whole numbers, from logits [B, V] and noise [B], uniform in [0, 1).

        Forbidden tokens have a logit of -1e30.
        """
        raise NotImplementedError

    # The methods that the token loop calls. `Beam` overrides them.

    def begin(self, ops: Ops, logits: Array) -> Any:
        """The state before the first token. The logits [B, V] give the number of rows."""
        score = ops.sum(ops.zeros_like(ops.cast(logits, SINGLE)), axis=-1)
        none = ops.cast(score, WHOLE)
        return Picked(token=none, score=score, length=none, finished=score)

    def advance(self, ops: Ops, carry: Any, logits: Array, noise: Array, end: int | None) -> tuple[Any, Array | None]:
        """The state after one more token, and for each row the row that it continues (None: each continues itself).

        A finished row keeps its score, and repeats the end token.
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
        """1.0 for sequences that need no further token. The loop ends when this is true of all of them."""
        return carry.finished

    def ranked(self, ops: Ops, carry: Any) -> tuple[Array | None, Array, Array]:
        """(rows, scores, lengths) at the end: the row of each result, the best first (None: every row is its own)."""
        return None, carry.score, carry.length

    def result(self, ops: Ops, carry: Any, tokens: Array) -> tuple[Array, Array, Array]:
        """(tokens, scores, lengths) from the last state and all tokens [R, N]."""
        rows, scores, lengths = self.ranked(ops, carry)
        return tokens if rows is None else ops.take(tokens, rows, axis=0), scores, lengths


def token_number(token: Any) -> int:
    """A token as a whole number."""
    if not isinstance(token, int | np.integer) or isinstance(token, bool) or token < 0:
        raise DecodingError(f"Forbidden tokens must be numbers of tokens, 0 or more. Received: {token!r}.")
    return int(token)


def equal(ops: Ops, tokens: Array, token: int, like: Array) -> Array:
    """1.0 where `tokens` are equal to `token`, 0.0 elsewhere."""
    return ops.cast(ops.abs(tokens - token) < 1, like)

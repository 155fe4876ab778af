"""Greedy decoding, and sampling with temperature, top-k and top-p."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_rnnkit.decoding.errors import DecodingError
from keras_rnnkit.decoding.strategy import WHOLE, Strategy
from keras_rnnkit.ops.protocol import Array, Ops


class Greedy(Strategy):
    """The likeliest token; of equally likely ones the first.

    >>> import keras_rnnkit.ops.numpy as ops
    >>> Greedy().pick(ops, np.array([[0.1, 0.7, 0.2]]), None)
    array([1])
    """

    def pick(self, ops: Ops, logits: Array, noise: Array) -> Array:
        return ops.argmax(logits, axis=-1)


class Sampling(Strategy):
    """A token drawn from the model's distribution, with one uniform number u of noise.

        p = softmax(logits / temperature), 0 for tokens that top_k and top_p exclude
        token = the first whose cumulated p is more than u * sum(p)

    The probabilities are summed in the order of the vocabulary, so a setting that keeps all tokens draws the same
    tokens as no setting. The settings may be arrays, or inputs of a graph.

    Arguments:
        temperature: below 1 likely tokens become likelier; towards 0 it is `Greedy`, 0 itself is refused.
        top_k: keep this number of the likeliest tokens, the first of equally likely ones; None or 0 keeps all, 1 is
            `Greedy`.
        top_p: keep the smallest number of likeliest tokens whose probabilities sum to at least this share; None or 1
            keeps all (Holtzman, The curious case of neural text degeneration, 2020). It applies to what top_k keeps.

    >>> import keras_rnnkit.ops.numpy as ops
    >>> logits = np.log([[0.2, 0.5, 0.3]]).astype("float32")
    >>> [int(Sampling().pick(ops, logits, np.array([u], "float32"))[0]) for u in (0.1, 0.3, 0.8)]
    [0, 1, 2]
    >>> [int(Sampling(top_k=2).pick(ops, logits, np.array([u], "float32"))[0]) for u in (0.1, 0.3, 0.8)]
    [1, 1, 2]
    """

    needs_noise = True

    def __init__(self, temperature: Any = 1.0, top_k: Any = None, top_p: Any = None):
        self.temperature = checked_temperature(temperature)
        self.top_k = checked_top_k(top_k)
        self.top_p = checked_top_p(top_p)

    def pick(self, ops: Ops, logits: Array, noise: Array) -> Array:
        p = self.probabilities(ops, logits)
        if self.top_k is not None or self.top_p is not None:
            p = ops.where(self.is_kept(ops, logits), p, 0.0)
        return inverse(ops, p, noise)

    def probabilities(self, ops: Ops, logits: Array) -> Array:
        below_zero = logits - ops.max(logits, axis=-1, keepdims=True)  # so a low temperature cannot overflow
        return ops.activation("softmax", below_zero / ops.cast(self.temperature, logits))

    def is_kept(self, ops: Ops, logits: Array) -> Array:
        """Booleans [B, V], true for the tokens that top_k and top_p keep: of equally likely ones the first."""
        count = logits.shape[-1]
        ranked, _ = ops.top_k(logits, min(self.top_k, count) if isinstance(self.top_k, int) else count)
        number = self.kept_count(ops, ranked)
        least = ops.take_along_axis(ranked, number - 1, axis=1)
        more, tied = ops.cast(logits > least, WHOLE), ops.cast(logits >= least, WHOLE)
        tied = tied - more
        rank = ops.sum(more, axis=-1, keepdims=True) + ops.cumsum(tied, axis=-1)  # of a tied token
        return more + tied * ops.cast(rank <= number, WHOLE) > 0

    def kept_count(self, ops: Ops, ranked: Array) -> Array:
        """The number of tokens to keep [B, 1], at least one. ranked: the logits, the largest first."""
        p, count = self.probabilities(ops, ranked), ranked.shape[-1]
        if self.top_k is not None and not isinstance(self.top_k, int):
            p = ops.where(np.arange(count) < ops.where(self.top_k < 1, count, self.top_k), p, 0.0)
        if self.top_p is not None:
            reach = self.top_p if isinstance(self.top_p, float) else ops.where(self.top_p < 1.0, self.top_p, 2.0)
            before = ops.cumsum(p, axis=-1) - p
            p = ops.where(before < reach * ops.sum(p, axis=-1, keepdims=True), p, 0.0)
        return ops.sum(ops.cast(p > 0.0, WHOLE), axis=-1, keepdims=True)


BELOW_ONE = 1.0 - 2.0**-23
"""The upper limit of the noise. A float32 times this limit is less than that float32; 1 - 2 ** -24 is too large."""


def inverse(ops: Ops, p: Array, noise: Array) -> Array:
    """The first token [B] at which the running sum of p [B, V] exceeds noise * sum(p).

    A running sum that is computed in parallel need not be monotonic, so tokens of probability zero are excluded.
    """
    reached = ops.where(p > 0.0, ops.cumsum(p, axis=-1), 0.0)
    share = ops.expand_dims(ops.minimum(ops.cast(noise, p), BELOW_ONE), 1)
    return ops.argmax(ops.cast(reached > share * ops.max(reached, axis=-1, keepdims=True), p), axis=-1)


def checked_temperature(temperature: Any) -> Any:
    numbers = numbers_of("temperature", temperature)
    if numbers is not None and not np.all((numbers > 0) & (numbers < np.inf)):
        raise DecodingError(
            "temperature must be more than 0; the likeliest token alone is Greedy(). Received: "
            f"temperature={temperature}."
        )
    return plain(temperature)


def checked_top_k(top_k: Any) -> Any:
    numbers = None if top_k is None else numbers_of("top_k", top_k)
    if numbers is None:
        return top_k
    if not np.all((numbers >= 0) & (numbers < 2**31) & (np.floor(numbers) == numbers)):
        raise DecodingError(f"top_k must be a number of tokens, 0 or None for all. Received: top_k={top_k}.")
    return top_k if numbers.ndim else (int(numbers) or None)


def checked_top_p(top_p: Any) -> Any:
    numbers = None if top_p is None else numbers_of("top_p", top_p)
    if numbers is None:
        return top_p
    if not np.all((numbers > 0) & (numbers <= 1)):
        raise DecodingError(f"top_p must be a probability, more than 0 and at most 1. Received: top_p={top_p}.")
    return top_p if numbers.ndim else (None if numbers == 1 else float(numbers))


def numbers_of(name: str, value: Any) -> np.ndarray | None:
    """The numbers of a setting; None for a tensor or a value of a graph, whose numbers are not known yet."""
    if hasattr(value, "dtype") and not isinstance(value, np.ndarray | np.generic):
        return None
    numbers = np.asarray(value)
    if numbers.dtype.kind not in "iuf":
        raise DecodingError(f"{name} must be a number. Received: {name}={value!r}.")
    return numbers


def plain(value: Any) -> Any:
    """A NumPy number as a Python number; anything else as it is."""
    return value.item() if isinstance(value, np.generic) else value

"""n-gram models, the baseline that a language model must beat."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any


class Markov:
    """An n-gram model: it predicts the next token from the n - 1 before it, smoothed by shorter contexts.

        p(w | h) = (count(h w) + T(h) p(w | h')) / (count(h) + T(h)),    p(w | nothing) = (count(w) + k) / (N + k V)

    T(h) is the number of different tokens seen after h, and h' is h without its first token (Witten and Bell, The
    zero-frequency problem, 1991). A context that was never seen predicts what its shorter one does.

    Arguments:
        ids: the tokens to learn from, N of them, each from 0 to size - 1.
        order: n, 1 or more.
        size: V, the size of the vocabulary.
        add: k, 0 or more, which is added to the count of every single token. With 0 a token that was never seen has
            probability 0, and the perplexity of a text that has it is infinite.

    >>> model = Markov([0, 1, 0, 1, 0, 2], order=2, size=3)
    >>> [round(model.probability(token, [0]), 3) for token in range(3)]
    [0.178, 0.533, 0.289]
    """

    def __init__(self, ids: Sequence[int], order: int, size: int, add: float = 1.0):
        if order < 1 or size < 1 or add < 0 or len(ids) == 0:
            raise ValueError(
                "order and size must be 1 or more, add 0 or more, and ids must not be empty. Received: "
                f"order={order}, size={size}, add={add}, {len(ids)} ids."
            )
        self.order, self.size, self.add = order, size, add
        tokens = [int(i) for i in ids]
        if min(tokens) < 0 or max(tokens) >= size:
            raise ValueError(f"ids must be from 0 to {size - 1}. Received: from {min(tokens)} to {max(tokens)}.")
        self.counts: defaultdict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
        for length in range(order):
            for end in range(length, len(tokens)):
                self.counts[tuple(tokens[end - length : end])][tokens[end]] += 1
        self.totals = {context: sum(counts.values()) for context, counts in self.counts.items()}

    def probability(self, token: int, before: Sequence[int]) -> float:
        """p(token | the tokens before it). Only the last order - 1 of them have an influence."""
        unigrams, total = self.counts[()], self.totals[()]
        p = (unigrams[token] + self.add) / (total + self.add * self.size)
        before = [int(i) for i in before][max(0, len(before) - self.order + 1) :]
        for length in range(1, len(before) + 1):
            context = tuple(before[len(before) - length :])
            counts = self.counts.get(context)
            if counts is None:
                break
            kinds = len(counts)  # T(h)
            p = (counts[token] + kinds * p) / (self.totals[context] + kinds)
        return p

    def cross_entropy(self, ids: Sequence[int]) -> float:
        """Mean of -log p over the tokens of another text, in nats; infinite where one of them has probability 0."""
        tokens: list[Any] = [int(i) for i in ids]
        if not tokens:
            raise ValueError("The cross-entropy of an empty text is not defined. Received: 0 ids.")
        ps = (self.probability(t, tokens[max(0, i - self.order + 1) : i]) for i, t in enumerate(tokens))
        return -sum(math.log(p) if p > 0 else -math.inf for p in ps) / len(tokens)

    def perplexity(self, ids: Sequence[int]) -> float:
        """exp(cross-entropy) of another text."""
        return math.exp(self.cross_entropy(ids))

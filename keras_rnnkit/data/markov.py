"""n-gram models: what a language model must beat."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any


class Markov:
    """The next token by the n - 1 before it, smoothed by shorter contexts.

        p(w | h) = (count(h w) + T(h) p(w | h')) / (count(h) + T(h)),    p(w | nothing) = (count(w) + k) / (N + k V)

    T(h) is the number of different tokens seen after h, and h' is h without its first token (Witten and Bell, The
    zero-frequency problem, 1991). Contexts never seen say what their shorter ones say.

    Arguments:
        ids: the tokens to learn from. order: n. size: of the vocabulary, V. add: k, of the unigrams.

    >>> model = Markov([0, 1, 0, 1, 0, 2], order=2, size=3)
    >>> [round(model.probability(token, [0]), 3) for token in range(3)]
    [0.178, 0.533, 0.289]
    """

    def __init__(self, ids: Sequence[int], order: int, size: int, add: float = 1.0):
        if order < 1 or size < 1 or len(ids) == 0:
            raise ValueError(f"order and size are 1 or more, ids not empty. Received: {order}, {size}, {len(ids)} ids.")
        self.order, self.size, self.add = order, size, add
        tokens = [int(i) for i in ids]
        self.counts: defaultdict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
        for length in range(order):
            for end in range(length, len(tokens)):
                self.counts[tuple(tokens[end - length : end])][tokens[end]] += 1
        self.totals = {context: sum(counts.values()) for context, counts in self.counts.items()}

    def probability(self, token: int, before: Sequence[int]) -> float:
        """p(token | the tokens before it), of which the last order - 1 count."""
        unigrams, total = self.counts[()], self.totals[()]
        p = (unigrams[token] + self.add) / (total + self.add * self.size)
        before = [int(i) for i in before][max(0, len(before) - self.order + 1) :]
        for length in range(1, len(before) + 1):
            context = tuple(before[len(before) - length :])
            counts = self.counts.get(context)
            if counts is None:
                break
            seen = len(counts)
            p = (counts[token] + seen * p) / (self.totals[context] + seen)
        return p

    def cross_entropy(self, ids: Sequence[int]) -> float:
        """Nats a token on another text."""
        tokens: list[Any] = [int(i) for i in ids]
        logs = (math.log(self.probability(t, tokens[max(0, i - self.order + 1) : i])) for i, t in enumerate(tokens))
        return -sum(logs) / len(tokens)

    def perplexity(self, ids: Sequence[int]) -> float:
        return math.exp(self.cross_entropy(ids))

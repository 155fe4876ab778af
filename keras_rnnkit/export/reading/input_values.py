"""Which values a model's inputs may have, and arrays of them."""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_rnnkit import keras_internals
from keras_rnnkit.export.reading.signature import Spec

UNKNOWN_VOCABULARY = 64
"""Integer inputs that no layer gives a vocabulary to are tried up to this number."""
PATTERNS = ("gaps", "right", "full", "left", "none")
"""Which steps of a row are valid; the rows of all probes take one pattern after the other."""


class Limits:
    """Which values a model's inputs may have: how many tokens there are, which values mark a padded step.

    vocabulary: the smallest of the model's layers; None where no layer has one, and then `largest` bounds the tokens.
    vocabularies: of the inputs that take more tokens, by name. table_sizes: the vocabularies of all layers. dealt: how
    many tokens of each vocabulary `array` and `deal` have given, each before one came again.
    """

    def __init__(self, model, largest: int = UNKNOWN_VOCABULARY):
        layers = list(keras_internals.flatten_layers(model))
        widths = [layer.input_dim for layer in layers if isinstance(layer, keras.layers.Embedding)]
        widths += [layer.num_tokens for layer in layers if isinstance(layer, keras.layers.CategoryEncoding)]
        self.table_sizes = sorted({n for n in widths if n})
        self.vocabulary: int | None = self.table_sizes[0] if self.table_sizes else None
        self.vocabularies: dict[str, int] = {}
        self.largest = largest
        self.padding = padding_values(model)
        self.patterns = patterns()
        self.decks: dict[int, np.ndarray] = {}
        self.dealt: Counter[int] = Counter()

    def replaced(self, **changes: Any) -> Limits:
        """The same limits with other vocabularies, from a new deck."""
        limits = copy.copy(self)
        limits.patterns, limits.decks, limits.dealt = patterns(), {}, Counter()
        for name, value in changes.items():
            setattr(limits, name, value)
        return limits

    def vocabulary_of(self, name: str) -> int | None:
        """The number of tokens that an input takes."""
        return self.vocabularies.get(name, self.vocabulary)

    def tokens_of(self, name: str) -> int:
        return self.vocabulary_of(name) or self.largest

    def shape_of(self, spec: Spec, batch: int, steps: int) -> tuple[int, ...]:
        free = [batch, steps] + [max(steps // 2, 1)] * len(spec.shape)
        return tuple(free[axis] if n is None else n for axis, n in enumerate(spec.shape))

    def array(self, rng, spec: Spec, batch: int, steps: int) -> np.ndarray:
        shape = self.shape_of(spec, batch, steps)
        dtype: Any = np.dtype(spec.dtype) if spec.dtype != "bfloat16" else np.dtype(np.float32)
        masked = ~self.valid_steps(rng, shape[:2]) if len(shape) > 1 else np.zeros(shape, bool)
        wide = masked.reshape(*masked.shape, *[1] * (len(shape) - masked.ndim))
        if dtype.kind == "b":
            return np.broadcast_to(~wide, shape).copy()
        if np.issubdtype(dtype, np.integer):
            tokens, valid_tokens = np.zeros(shape, np.int64), np.broadcast_to(~wide, shape)
            tokens[valid_tokens] = self.deal(rng, (int(valid_tokens.sum()),), self.vocabulary_of(spec.name))
            return tokens.astype(dtype)
        x = rng.normal(size=shape).astype(dtype)
        if len(shape) > 2:
            for row in range(shape[0]):
                x[row, masked[row]] = self.padding[row % len(self.padding)]
        return x

    def deal(self, rng, shape: tuple[int, ...], vocabulary: int | None = None) -> np.ndarray:
        """Tokens, each of the vocabulary before one comes again; small numbers more often where it is unknown."""
        count, vocabulary = math.prod(shape), vocabulary or self.vocabulary
        if vocabulary is None:
            return np.floor(self.largest ** rng.random(shape)).astype(np.int64) - (rng.random(shape) < 0.2)
        first = min(1, vocabulary - 1)  # 0 stands for padding, and comes with the masked steps
        deck = self.decks.get(vocabulary, np.zeros(0, np.int64))
        while len(deck) < count:
            shuffled = rng.permutation(np.arange(first, vocabulary - 1))
            deck = np.concatenate([deck, [max(vocabulary - 1, first)], shuffled])
        self.dealt[vocabulary] += count
        self.decks[vocabulary] = deck[count:]
        return deck[:count].reshape(shape)

    def valid_steps(self, rng, shape: tuple[int, ...]) -> np.ndarray:
        """A mask [B, T] with, row by row: gaps inside, padding on the right, none, on the left, everywhere."""
        batch, steps = shape
        return np.array([valid(rng, next(self.patterns), steps) for _ in range(batch)], bool).reshape(batch, steps)


def padding_values(model) -> list[float]:
    """The values that mark a padded step: those of all Masking layers, or 0, which masks of users' own often read."""
    masking = [layer for layer in keras_internals.flatten_layers(model) if isinstance(layer, keras.layers.Masking)]
    return list(dict.fromkeys(float(layer.mask_value) for layer in masking)) or [0.0]


def patterns() -> Iterator[str]:
    while True:
        yield from PATTERNS


def valid(rng, pattern: str, steps: int) -> np.ndarray:
    row = np.ones(steps, bool)
    if steps == 1 or pattern == "full":
        return row
    if pattern == "gaps":
        row[rng.permutation(steps)[: max(steps // 3, 1)]] = False
    elif pattern == "right":
        row[-max(steps // 2, 1) :] = False
    elif pattern == "left":
        row[: max(steps // 2, 1)] = False
    else:
        row[:] = False
    return row

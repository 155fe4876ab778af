"""Which tokens a model takes, and inputs in which all of them occur."""

from __future__ import annotations

import math

import keras
import numpy as np

from keras_rnnkit import keras_internals
from keras_rnnkit.export.checking.reference import Reference
from keras_rnnkit.export.checking.trials.reach import receptive_field
from keras_rnnkit.export.reading.input_values import UNKNOWN_VOCABULARY, Limits

STEPS = 4
"""Steps of a row in which tokens are tried, besides what convolutions look back at: short rows take fewer turns."""
NUMBERS = 2**22
"""Numbers that the inputs and outputs for all tokens may have together, 16 MB of float32."""
PRODUCTS = 2**31
"""Products of two numbers that all tokens may cost: some hundredths of a second."""
MOST_TOKENS = 2**16


class TokenTrials:
    """Tries which tokens Keras takes.

    limits: which values the inputs may have. numbers: how many the inputs and outputs have for one step of a row, 0 as
    long as Keras takes nothing. steps: of the rows that are tried.
    """

    def __init__(self, reference: Reference):
        self.reference, self.specs = reference, reference.signature.inputs
        self.integers = [s for s in self.specs if s.dtype != "bfloat16" and np.dtype(s.dtype).kind in "iu"]
        self.numbers, self.steps = 0, STEPS + receptive_field(reference.model)
        self.limits = self.tried() if self.integers else Limits(reference.model)

    def tried(self) -> Limits:
        """Whole numbers below the vocabulary, which a model may move, such as by looking up tokens + 1.

        Where the model has several vocabularies, each input gets the largest one that Keras takes. Where it has none,
        the numbers are those below other bounds.
        """
        limits = Limits(self.reference.model)
        if limits.vocabulary is None:
            bounds = [UNKNOWN_VOCABULARY >> i for i in range(6)]
            return self.first_taken([limits.replaced(largest=n) for n in bounds])
        n = limits.vocabulary
        limits = self.first_taken([limits.replaced(vocabulary=m) for m in (n, n - 1, n - 2, n // 2) if m > 1], limits)
        for spec in self.integers:
            larger = [m for m in reversed(limits.table_sizes) if m > n]
            named = [limits.replaced(vocabularies={**limits.vocabularies, spec.name: m}) for m in larger]
            limits = self.first_taken(named, limits)
        return limits

    def first_taken(self, candidates: list[Limits], otherwise: Limits | None = None) -> Limits:
        return next(filter(self.takes, candidates), otherwise or candidates[-1])

    def takes(self, limits: Limits) -> bool:
        """Whether Keras runs the model on the largest whole numbers that the limits allow."""
        rng, rows = np.random.default_rng(0), self.reference.batch or 2
        limits = limits.replaced()
        inputs = [limits.array(rng, spec, rows, self.steps) for spec in self.specs]
        for spec, x in zip(self.specs, inputs, strict=True):
            if x.dtype.kind in "iu":
                x.flat[-1] = limits.tokens_of(spec.name) - 1
        try:
            outputs = self.reference.outputs(inputs, self.reference.begin())
        except Exception:  # whatever the model says to a number it does not take
            return False
        self.numbers = math.ceil(sum(x.size for x in [*inputs, *outputs.values()]) / (rows * self.steps))
        return True

    def every_token(self, rng) -> list[np.ndarray] | None:
        """Inputs in which every token of each vocabulary occurs, or as many as `affordable_rows` have room for.

        None if the model has no vocabulary, or one that other inputs have gone through already.
        """
        limits, steps = self.limits, self.steps
        sizes = {spec.name: limits.vocabulary_of(spec.name) or 0 for spec in self.integers}
        missing = {name: n for name, n in sizes.items() if limits.dealt[n] < n - 1}
        if not missing or not self.numbers:
            return None
        in_row = {spec.name: math.prod(limits.shape_of(spec, 1, steps)) for spec in self.specs}
        needed = max(math.ceil(n / in_row[name]) for name, n in missing.items())
        rows = self.reference.batch or min(needed, affordable_rows(self.reference.model, self.numbers, steps))
        return [
            some_tokens(rng, missing[spec.name], limits.shape_of(spec, rows, steps)).astype(spec.dtype)
            if spec.name in missing
            else limits.array(rng, spec, rows, steps)
            for spec in self.specs
        ]


def affordable_rows(model, numbers: int, steps: int) -> int:
    """How many rows of tokens are tried at most. numbers: of the inputs and outputs of one step."""
    layers = [x for x in keras_internals.flatten_layers(model) if isinstance(x, keras.layers.Embedding)]
    tables = {id(w) for layer in layers for w in layer.weights if w.shape[0] > numbers}
    # A table costs nothing where rows are looked up; a model that gives a score for each token may multiply by it.
    products = sum(math.prod(w.shape) for w in model.weights if id(w) not in tables)
    return max(1, min(NUMBERS // numbers, PRODUCTS // max(products, 1), MOST_TOKENS) // steps)


def some_tokens(rng, vocabulary: int, shape: tuple[int, ...]) -> np.ndarray:
    """Every token if the shape has room for all, otherwise the last, the first, and others at random."""
    between = rng.permutation(np.arange(1, vocabulary - 1))
    tokens = np.concatenate([[vocabulary - 1, 0][: min(vocabulary, 2)], between])
    return np.resize(tokens[: math.prod(shape)], shape)

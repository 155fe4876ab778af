"""The step inside a file that generates, on prompts, beside Keras."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from keras_rnnkit.export.checking.comparison import Arrays
from keras_rnnkit.export.checking.reference import Reference
from keras_rnnkit.export.checking.trials.tokens import TokenTrials
from keras_rnnkit.export.checking.trials.trial import Trial
from keras_rnnkit.export.reading.input_values import Limits
from keras_rnnkit.export.reading.model_calls import ModelCall
from keras_rnnkit.export.reading.signature import Spec

PROMPTS = ((6, 3), (1, 1))
"""Rows and steps of the prompts tried."""
STEPS = 5
"""How many tokens are generated from each."""
NUMBERS: dict[str, Any] = {
    "temperature": np.array(0.9, np.float32),
    "top_k": np.array(5, np.int64),
    "top_p": np.array(0.9, np.float32),
}
"""The settings of sampling that are tried, where they are inputs of the file."""


class PromptTrial(Trial):
    """Prompts; what is compared is what the step computes on them before any token is chosen.

    inner: the tensors inside the file, by the names of the step's outputs. read_only: prompts after which only one
    token is generated, and not compared; they come last.
    """

    def __init__(
        self, reference: Reference, prompts: list[Arrays], inner: dict[str, str], read_only: Sequence[Arrays] = ()
    ):
        super().__init__(reference)
        self.prompts, self.inner = [*prompts, *read_only], inner
        self.continued = len(prompts)
        self.lengths: list[np.ndarray | None] = [None] * len(self.prompts)
        self.name_of_lengths = ""

    def __len__(self):
        return len(self.prompts)

    def size(self, i):
        return f"prompts {', '.join(str(list(x.shape)) for x in self.prompts[i].values())}"

    def flat(self, i: int) -> list[np.ndarray]:
        return [self.prompts[i][spec.name] for spec in self.reference.signature.inputs]

    def keras(self, i, shift=None):
        return self.reference.whole(*self.moved(i, shift))

    def moved(self, i: int, shift):
        if shift is None:
            return self.flat(i), ()
        inputs, _, weights = self.reference.moved(self.flat(i), [], *shift)
        return inputs, weights

    def sequences_of(self, i):
        return self.flat(i), self.reference.begin()

    def chunks(self, i, run):
        return [run(self.feeds(i))]

    def feeds(self, i: int) -> Arrays:
        rows = len(next(iter(self.prompts[i].values())))
        steps = STEPS if i < self.continued else 1
        drawn = np.random.default_rng(i).random((rows, steps), dtype=np.float32)
        lengths = {} if self.lengths[i] is None else {self.name_of_lengths: self.lengths[i]}
        return {**NUMBERS, "noise": drawn, "steps": np.array(steps), **self.prompts[i], **lengths}

    def joined(self, i, chunks, like):
        names = {**{name: name for name in chunks[0]}, **self.inner}
        return {name: chunks[0][names[name]] for name in like if names.get(name) in chunks[0]}

    def calls(self, i, shift=None):
        inputs, weights = self.moved(i, shift)
        return self.reference.layers(inputs, self.reference.begin(), weights)

    def keras_in_a_graph(self, i):
        return self.reference.in_a_graph(self.flat(i), self.reference.begin())

    def with_data(self, data):
        names = [spec.name for spec in self.reference.signature.inputs]
        return PromptTrial(self.reference, [dict(zip(names, x, strict=True)) for x in data], self.inner)

    def with_lengths(self, name: str) -> PromptTrial:
        """The prompts that are continued, and the first of them once more, each row with a length of its own."""
        trial = PromptTrial(self.reference, [*self.prompts[: self.continued], self.prompts[0]], self.inner)
        tokens = self.prompts[0][cast(Spec, self.reference.signature.tokens()).name]
        rows, steps = tokens.shape
        trial.lengths[-1], trial.name_of_lengths = 1 + np.arange(rows) * 2 % steps, name
        return trial

    def joined_with(self, other):
        return PromptTrial(self.reference, [*self.prompts, *other.prompts], self.inner)


def prompt_trial(model_call: ModelCall, inner: dict[str, str]) -> PromptTrial:
    """Made-up prompts, and some that are only read, in which every token occurs."""
    reference = Reference(model_call)
    tokens = TokenTrials(reference)
    prompts = made_up_prompts(tokens)
    inputs = tokens.every_token(np.random.default_rng(1))
    names = [spec.name for spec in tokens.specs]
    every_token = [] if inputs is None else [dict(zip(names, inputs, strict=True))]
    return PromptTrial(reference, prompts, inner, every_token)


def made_up_prompts(tokens: TokenTrials) -> list[Arrays]:
    """What the model takes, by name."""
    rng, limits, signature = np.random.default_rng(0), tokens.limits, tokens.reference.signature
    return [
        {
            spec.name: with_padding_token(rng, limits, (rows, steps)).astype(spec.dtype)
            if spec is signature.tokens()
            else limits.array(rng, spec, rows, 1)
            for spec in signature.inputs
        }
        for rows, steps in ((tokens.reference.batch or rows, steps) for rows, steps in PROMPTS)
    ]


def with_padding_token(rng, limits: Limits, shape: tuple[int, int]) -> np.ndarray:
    """Tokens, the last one being 0, which `deal` keeps for padding."""
    tokens = limits.deal(rng, shape)
    tokens.flat[-1] = 0 if tokens.size > 1 else tokens.flat[-1]
    return tokens

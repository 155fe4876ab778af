"""The step inside a file that generates, on prompts, beside Keras."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from keras_rnnkit.export.checking.comparison import Arrays
from keras_rnnkit.export.checking.reference import Reference
from keras_rnnkit.export.checking.trials.trial import Trial, limits_of
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

    inner: the tensors inside the file, by the names of the step's outputs.
    """

    def __init__(self, reference: Reference, prompts: list[Arrays], inner: dict[str, str]):
        super().__init__(reference)
        self.prompts, self.inner = prompts, inner
        self.lengths: list[np.ndarray | None] = [None] * len(prompts)
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

    def chunks(self, i, run):
        return [run(self.feeds(i))]

    def feeds(self, i: int) -> Arrays:
        rows = len(next(iter(self.prompts[i].values())))
        drawn = np.random.default_rng(i).random((rows, STEPS), dtype=np.float32)
        lengths = {} if self.lengths[i] is None else {self.name_of_lengths: self.lengths[i]}
        return {**NUMBERS, "noise": drawn, "steps": np.array(STEPS), **self.prompts[i], **lengths}

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
        """And the first prompts once more, each row with a length of its own."""
        trial = PromptTrial(self.reference, [*self.prompts, self.prompts[0]], self.inner)
        tokens = self.prompts[0][cast(Spec, self.reference.signature.tokens()).name]
        rows, steps = tokens.shape
        trial.lengths[-1], trial.name_of_lengths = 1 + np.arange(rows) * 2 % steps, name
        return trial

    def joined_with(self, other):
        return PromptTrial(self.reference, [*self.prompts, *other.prompts], self.inner)


def prompt_trial(model_call: ModelCall, inner: dict[str, str]) -> PromptTrial:
    reference = Reference(model_call)
    return PromptTrial(reference, made_up_prompts(reference), inner)


def made_up_prompts(reference: Reference) -> list[Arrays]:
    """What the model takes, by name; tokens of the whole vocabulary."""
    rng, limits, tokens = np.random.default_rng(0), limits_of(reference), reference.signature.tokens()
    return [
        {
            spec.name: every_token(rng, limits, (rows, steps)).astype(spec.dtype)
            if spec is tokens
            else limits.array(rng, spec, rows, 1)
            for spec in reference.signature.inputs
        }
        for rows, steps in ((reference.batch or rows, steps) for rows, steps in PROMPTS)
    ]


def every_token(rng, limits: Limits, shape: tuple[int, int]) -> np.ndarray:
    """Tokens, the last one being 0, which `deal` keeps for padding."""
    tokens = limits.deal(rng, shape)
    tokens.flat[-1] = 0 if tokens.size > 1 else tokens.flat[-1]
    return tokens

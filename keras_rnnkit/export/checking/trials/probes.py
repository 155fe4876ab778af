"""Inputs to try an exported graph on: several sizes, single steps, masks of every shape, tokens of every kind."""

from __future__ import annotations

import numpy as np

from keras_rnnkit.export.checking.trials.reach import receptive_field
from keras_rnnkit.export.reading.input_values import Limits
from keras_rnnkit.export.reading.model_calls import ModelCall, State

SIZES = ((2, 5), (1, 1), (5, 9))
"""Batch and steps of each probe, as far as they are free; different in all three, so that axes can be told apart."""


class Probe:
    """Flat inputs and states of one size."""

    def __init__(self, inputs: list[np.ndarray], states: list[np.ndarray]):
        self.inputs = inputs
        self.states = states

    @property
    def size(self) -> str:
        return ", ".join(str(list(x.shape)) for x in self.inputs)


def probes(model_call: ModelCall, limits: Limits | None = None, seed: int = 0) -> list[Probe]:
    """One probe for each size, and one in which no two inputs have the same number of steps.

    The last of `SIZES` is longer than what the model's convolutions look back at.
    """
    rng = np.random.default_rng(seed)
    limits, inputs = limits or Limits(model_call.model), model_call.signature.inputs
    sizes = [(batch, [steps] * len(inputs)) for batch, steps in SIZES]
    sizes[-1] = (SIZES[-1][0], [SIZES[-1][1] + receptive_field(model_call.model)] * len(inputs))
    if len(inputs) > 1:
        sizes.append((2, [4 + i for i, _ in enumerate(inputs)]))
    return [
        Probe(
            [limits.array(rng, spec, batch, steps) for spec, steps in zip(inputs, lengths, strict=True)],
            [state_of(rng, state, batch) for state in model_call.states],
        )
        for batch, lengths in sizes
    ]


def state_of(rng, state: State, batch: int) -> np.ndarray:
    shape = [batch if n is None else n for n in state.shape]
    return (0.5 * rng.normal(size=shape)).astype(state.dtype)

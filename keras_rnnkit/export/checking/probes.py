"""Inputs to try an exported graph on: several sizes, single steps, masks of every shape."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_rnnkit.export.reading.model_calls import ModelCall, State
from keras_rnnkit.export.reading.signature import Spec

SIZES = ((2, 7), (1, 1), (3, 12))
"""Batch and steps of each probe, as far as they are free; different in all three, so that axes can be told apart."""


class Probe:
    """Flat inputs and states of one size."""

    def __init__(self, inputs: list[np.ndarray], states: list[np.ndarray]):
        self.inputs = inputs
        self.states = states

    @property
    def size(self) -> str:
        return ", ".join(str(list(x.shape)) for x in self.inputs)


def probes(model_call: ModelCall, seed: int = 0) -> list[Probe]:
    """One probe for each size, and one in which no two inputs have the same number of steps."""
    rng = np.random.default_rng(seed)
    limits, inputs = Limits(model_call.model), model_call.signature.inputs
    sizes = [(batch, [steps] * len(inputs)) for batch, steps in SIZES]
    if len(inputs) > 1:
        sizes.append((2, [5 + i for i, _ in enumerate(inputs)]))
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


class Limits:
    """What values a model's inputs may have: how many tokens there are, what marks a padded step."""

    def __init__(self, model):
        layers = list(model._flatten_layers())
        widths = [layer.input_dim for layer in layers if isinstance(layer, keras.layers.Embedding)]
        widths += [layer.num_tokens for layer in layers if isinstance(layer, keras.layers.CategoryEncoding)]
        self.tokens = min([n for n in widths if n], default=2)
        self.padding = next((layer.mask_value for layer in layers if isinstance(layer, keras.layers.Masking)), None)

    def array(self, rng, spec: Spec, batch: int, steps: int) -> np.ndarray:
        free = [batch, steps] + [max(steps // 2, 1)] * len(spec.shape)
        shape = tuple(free[axis] if n is None else n for axis, n in enumerate(spec.shape))
        dtype: Any = np.dtype(spec.dtype) if spec.dtype != "bfloat16" else np.dtype(np.float32)
        masked = ~valid_steps(rng, shape[:2]) if len(shape) > 1 else np.zeros(shape, bool)
        if dtype.kind == "b":
            return np.broadcast_to(~masked.reshape(*shape[:2], *[1] * (len(shape) - 2)), shape).copy()
        if np.issubdtype(dtype, np.integer):
            tokens = rng.integers(min(1, self.tokens - 1), self.tokens, size=shape).astype(dtype)
            return np.where(masked.reshape(*masked.shape, *[1] * (len(shape) - masked.ndim)), 0, tokens).astype(dtype)
        x = rng.normal(size=shape).astype(dtype)
        if self.padding is not None and len(shape) > 2:
            x[masked] = self.padding
        return x


def valid_steps(rng, shape: tuple[int, ...]) -> np.ndarray:
    """A mask [B, T] with, row by row: gaps inside, padding on the right, on the left, everywhere."""
    batch, steps = shape
    mask = np.ones((batch, steps), bool)
    for row, mask_of_row in enumerate(mask):
        if steps == 1:
            continue
        if row % 4 == 0:
            mask_of_row[rng.permutation(steps)[: max(steps // 3, 1)]] = False
        elif row % 4 == 1:
            mask_of_row[-max(steps // 2, 1) :] = False
        elif batch > 2 and row == batch - 1:
            mask_of_row[:] = False
        else:
            mask_of_row[: max(steps // 2, 1)] = False
    return mask

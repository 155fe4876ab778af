"""Zoneout: states that sometimes stay as they were."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras

from keras_rnnkit.cells.base import rate as checked_rate
from keras_rnnkit.cells.wrapper import WrapperCell


class Zoned(NamedTuple):
    """A projected input with, for each state, the share of it that is kept this step."""

    z: Any
    kept: Any


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class ZoneoutCell(WrapperCell):
    """Zoneout around any cell: each unit of each state keeps its old value with a probability.

        s~_t = the wrapped cell's new state
        s_t  = d * s_{t-1} + (1 - d) * s~_t      d ~ Bernoulli(rate) in training, d = rate otherwise

    Paper: D. Krueger, Zoneout: regularizing RNNs by randomly preserving hidden activations, 2016.

    The noise of all steps is drawn before the loop, as an input of it. Inside `keras.layers.RNN`, which has no
    place for it, one draw serves all steps of a sequence.

    Arguments:
        cell: the cell to wrap.
        rate: probability of keeping the old value; one number, or one for each state (the paper: 0.05 for h and
            0.5 for c of a character LSTM).
        noise_seed: of the draws.

    >>> from keras_rnnkit.cells import LSTMCell
    >>> ZoneoutCell(LSTMCell(8), rate=[0.05, 0.5]).rates
    [0.05, 0.5]
    """

    def __init__(self, cell, rate=0.1, noise_seed=None, **kwargs):
        super().__init__(cell, **kwargs)
        if not cell.emits_state:
            raise ValueError(
                f"ZoneoutCell needs a cell whose output is its first state; {type(cell).__name__} emits something "
                "else, so keeping its states would leave its output as it was."
            )
        self.rate = list(rate) if isinstance(rate, list | tuple) else rate
        self.rates = self.rate if isinstance(self.rate, list) else [rate] * len(self.state_sizes)
        self.rates = [checked_rate("rate", each, self) for each in self.rates]
        if len(self.rates) != len(self.state_sizes):
            raise ValueError(
                f"ZoneoutCell: `rate` must be one number or {len(self.state_sizes)}, one for each state of "
                f"{type(cell).__name__}. Received: rate={rate!r}."
            )
        self.noise_seed = noise_seed
        self.noise_generator = keras.random.SeedGenerator(noise_seed)
        self._kept = None

    def inputs(self, ops, w, x, state, training=False, mask=None):
        z = super().inputs(ops, w, x, state, training=training, mask=mask)
        if not training:
            return z
        kept = self._kept if len(x.shape) == 2 else None
        return Zoned(z, kept or self.draw(keras.ops.shape(x)[:-1], x.dtype))

    def gates(self, ops, w, z, r, state):
        z, kept = z if isinstance(z, Zoned) else (z, self.rates)
        _, candidate = super().gates(ops, w, z, r, state)
        state = [k * old + (1.0 - k) * new for k, old, new in zip(kept, state, candidate, strict=True)]
        return state[0], state

    def draw(self, shape, dtype):
        """For each state an array of ones (keep) and zeros (replace), [*shape, size]."""
        return [
            keras.ops.cast(keras.random.uniform((*shape, size), seed=self.noise_generator) < rate, dtype)
            for size, rate in zip(self.state_sizes, self.rates, strict=True)
        ]

    def get_dropout_mask(self, step_input):
        """Keras' loop asks for this before its first step: the time to draw what its steps will share."""
        if self._kept is None:
            self._kept = self.draw(keras.ops.shape(step_input)[:-1], step_input.dtype)
        return super().get_dropout_mask(step_input)

    def reset_dropout_mask(self):
        self._kept = None
        super().reset_dropout_mask()

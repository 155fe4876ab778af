"""Zoneout: units that keep their old state for a step at random."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras

from keras_rnnkit.cells.arguments import rate as checked_rate
from keras_rnnkit.cells.wrapper import WrapperCell


class NoisyInput(NamedTuple):
    """A projected input, and for each state an array with one where a unit keeps its old value and zero elsewhere."""

    z: Any
    keep: Any


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class ZoneoutCell(WrapperCell):
    """Zoneout around any cell: each unit of each state keeps its old value with a probability.

        s~_t = the wrapped cell's new state
        s_t  = d * s_{t-1} + (1 - d) * s~_t      d ~ Bernoulli(rate) in training, d = rate otherwise

    Paper: D. Krueger, Zoneout: regularizing RNNs by randomly preserving hidden activations, 2016.

    The noise of all steps is drawn before the loop and is an input of it. `keras.layers.RNN` cannot pass it to
    the cell, so there a single draw serves all steps of a sequence.

    Shapes: those of the wrapped cell. The fixed vector of a `ConditionedCell` never changes, so it has no rate.

    Arguments:
        cell: the cell to wrap.
        rate: probability of keeping the old value: one number, or one for each state (the paper: 0.05 for h and
            0.5 for c of a character LSTM).
        noise_seed: seed of the draws.

    >>> from keras_rnnkit.cells import LSTMCell
    >>> ZoneoutCell(LSTMCell(8), rate=[0.05, 0.5]).rates
    [0.05, 0.5]
    """

    def __init__(self, cell, rate=0.1, noise_seed=None, **kwargs):
        super().__init__(cell, **kwargs)
        if not cell.emits_state:
            raise ValueError(
                f"ZoneoutCell needs a cell whose output is its first state. Received: {type(cell).__name__}, whose "
                "output is something else and would not change with the kept states."
            )
        self.sizes = cell.state_sizes[:-1] if cell.condition_size else cell.state_sizes
        """Widths of the states that zoneout applies to."""
        self.rate = list(rate) if isinstance(rate, list | tuple) else rate
        self.rates = self.rate if isinstance(self.rate, list) else [rate] * len(self.sizes)
        self.rates = [checked_rate("rate", each, self) for each in self.rates]
        if len(self.rates) != len(self.sizes):
            raise ValueError(
                f"ZoneoutCell: `rate` must be one number or {len(self.sizes)}, one for each state of "
                f"{type(cell).__name__} that changes. Received: rate={rate!r}."
            )
        self.noise_seed = noise_seed
        self.noise_generator = keras.random.SeedGenerator(noise_seed)
        self.adds_noise = True
        self._keep = None

    def inputs(self, ops, w, x, state, training=False, mask=None):
        z = super().inputs(ops, w, x, state, training=training, mask=mask)
        if not training:
            return z
        single_step = len(x.shape) == 2
        return NoisyInput(z, (single_step and self._keep) or self.draw(keras.ops.shape(x)[:-1], x.dtype))

    def gates(self, ops, w, z, r, state):
        z, keep = z if isinstance(z, NoisyInput) else (z, self.rates)
        _, new = super().gates(ops, w, z, r, state)
        count = len(self.sizes)
        mixed = [d * old + (1.0 - d) * s for d, old, s in zip(keep, state[:count], new[:count], strict=True)]
        return mixed[0], [*mixed, *new[count:]]

    def draw(self, shape, dtype):
        """For each state an array of ones (keep) and zeros (replace), [*shape, size]."""
        return [
            keras.ops.cast(keras.random.uniform((*shape, size), seed=self.noise_generator) < rate, dtype)
            for size, rate in zip(self.sizes, self.rates, strict=True)
        ]

    def draw_noise(self, shape, dtype):
        return [*self.draw(shape, dtype), *super().draw_noise(shape, dtype)]

    def use_noise(self, noise):
        self._keep = list(noise[: len(self.sizes)])
        super().use_noise(noise[len(self.sizes) :])

    def get_dropout_mask(self, step_input):
        """Keras' loop calls this before its first step, so the draw that all its steps share is made here."""
        if self._keep is None:
            self._keep = self.draw(keras.ops.shape(step_input)[:-1], step_input.dtype)
        return super().get_dropout_mask(step_input)

    def reset_dropout_mask(self):
        self._keep = None
        super().reset_dropout_mask()

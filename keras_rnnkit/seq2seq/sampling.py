"""How often a decoder reads its own tokens while it trains."""

from __future__ import annotations

import math

import keras

DECAYS = ("linear", "exponential", "inverse_sigmoid")


class ScheduledSampling(keras.callbacks.Callback):
    """Raises the part of tokens that a decoder draws itself in training, batch by batch, from 0 to `most`.

        linear:           p = most * i / n                         i batches so far, n = over
        exponential:      p = most * (1 - 0.001 ** (i / n))
        inverse_sigmoid:  p = most * (1 - k / (k + exp(i / k)))    k such that p is almost `most` after n

    Paper: S. Bengio, Scheduled sampling for sequence prediction with recurrent neural networks, 2015.

    Arguments:
        most: the part at the end, 0 to 1.
        over: batches in which it gets there.
        decay: one of the three.
        start: batches done before, of a training that is resumed.

    >>> [round(ScheduledSampling(0.5, over=100).part(i), 2) for i in (0, 50, 100, 1000)]
    [0.0, 0.25, 0.5, 0.5]
    """

    def __init__(self, most: float, over: int, decay: str = "linear", start: int = 0):
        super().__init__()
        if not 0 <= most <= 1:
            raise ValueError(f"most is a part of the tokens, 0 to 1. Received: most={most}.")
        if decay not in DECAYS:
            raise ValueError(f"Received: decay={decay!r}. Expected one of {', '.join(map(repr, DECAYS))}.")
        self.most, self.over, self.decay, self.done = most, max(1, int(over)), decay, start

    def part(self, batch: int) -> float:
        """The part of own tokens after that many batches."""
        way = min(1.0, batch / self.over)
        if self.decay == "linear":
            return self.most * way
        if self.decay == "exponential":
            return self.most * (1 - 0.001**way)
        k = self.over / 12
        return self.most * (1 - k / (k + math.exp(min(batch / k, 700.0)))) if batch else 0.0

    def on_train_begin(self, logs=None):
        decoder = getattr(self.model, "decoder", None)
        if not getattr(decoder, "scheduled_sampling", False):
            raise ValueError(
                "ScheduledSampling takes a model whose decoder is ready for it: rk.Decoder(..., "
                f"scheduled_sampling=True). Received: {self.model.name!r}."
            )

    def on_train_batch_begin(self, batch, logs=None):
        self.model.decoder.sampling.assign(self.part(self.done))
        self.done += 1

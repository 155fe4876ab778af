"""A schedule for how often a decoder reads its own tokens while it trains."""

from __future__ import annotations

import math

import keras

DECAYS = ("linear", "exponential", "inverse_sigmoid")


class ScheduledSampling(keras.callbacks.Callback):
    """Raises the fraction of tokens that a decoder draws itself in training, batch by batch, from 0 to `maximum`.

        linear:           p = maximum * i / n                         i batches so far, n = over
        exponential:      p = maximum * (1 - 0.001 ** (i / n))
        inverse_sigmoid:  p = maximum * (1 - k / (k + exp(i / k)))    k such that p is almost `maximum` after n

    With `steps_per_execution` the fraction changes with each execution, to that of its first batch.

    Paper: S. Bengio, Scheduled sampling for sequence prediction with recurrent neural networks, 2015.

    Arguments:
        maximum: the fraction at the end, from 0 to 1.
        over: the number of batches in which it rises.
        decay: "linear", "exponential" or "inverse_sigmoid".
        start: batches done before, where training continues from a checkpoint.

    >>> [round(ScheduledSampling(0.5, over=100).fraction(i), 2) for i in (0, 50, 100, 1000)]
    [0.0, 0.25, 0.5, 0.5]
    """

    def __init__(self, maximum: float, over: int, decay: str = "linear", start: int = 0):
        super().__init__()
        if not 0 <= maximum <= 1:
            raise ValueError(f"maximum must be a fraction from 0 to 1. Received: maximum={maximum}.")
        if decay not in DECAYS:
            raise ValueError(f"Received: decay={decay!r}. Expected one of {', '.join(map(repr, DECAYS))}.")
        self.maximum, self.over, self.decay = maximum, max(1, int(over)), decay
        self.done = self._done_before = start

    def fraction(self, batch: int) -> float:
        """The fraction of the decoder's own tokens after that many batches."""
        progress = min(1.0, batch / self.over)
        if self.decay == "linear":
            return self.maximum * progress
        if self.decay == "exponential":
            return self.maximum * (1 - 0.001**progress)
        k = self.over / 12
        return self.maximum * (1 - k / (k + math.exp(min(batch / k, 700.0)))) if batch else 0.0

    def on_train_begin(self, logs=None):
        decoder = getattr(self.model, "decoder", None)
        if decoder is None or not decoder.scheduled_sampling:
            raise ValueError(
                "ScheduledSampling needs a model whose decoder is prepared for it: rk.Decoder(..., "
                f"scheduled_sampling=True). Received: {self.model.name!r}."
            )
        if decoder.built:
            self._assign()
        elif self.fraction(self.done):
            raise ValueError(
                f"The decoder of {self.model.name!r} is not built yet, so its sampling cannot start with "
                f"{self.done} batches done. Call the model on a batch first."
            )

    def on_epoch_begin(self, epoch, logs=None):
        self._done_before = self.done

    def on_train_batch_end(self, batch, logs=None):
        # With steps_per_execution, Keras counts the last execution of an epoch as if it had all of its batches.
        self.done = self._done_before + min(batch + 1, self.params.get("steps") or batch + 1)
        self._assign()

    def _assign(self) -> None:
        self.model.decoder.sampling.assign(self.fraction(self.done))

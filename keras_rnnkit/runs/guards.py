"""Callbacks that end training early: when it diverges, and when the user asks for it."""

from __future__ import annotations

import math

import keras

from keras_rnnkit.runs.errors import Interrupted, TrainingDiverged
from keras_rnnkit.runs.interruption import Interruption
from keras_rnnkit.training import Checkpoint


class DivergenceGuard(keras.callbacks.Callback):
    """Ends training with a sentence when the loss is no number any more, or far above the loss of the first batch.

    A loss has exploded when the mean of the epoch exceeds that of the first batch by ten times its size (by 10 where it
    is smaller than 1).

    Arguments:
        keeper: counts the batches; it writes the checkpoint.
        advice: what to try, for the sentence.
    """

    def __init__(self, keeper: Checkpoint, advice: str):
        super().__init__()
        self.keeper, self.advice = keeper, advice
        self.first: float | None = None

    def on_train_batch_end(self, batch, logs=None):
        loss = float(logs["loss"])
        if not math.isfinite(loss):
            self._end(f"the loss is {loss}", batch)
        if self.first is None:
            self.first = loss
        if loss > self.first + 10 * max(1.0, abs(self.first)):
            self._end(f"the loss is {loss:.4g} and was {self.first:.4g} at the first batch", batch)

    def on_epoch_end(self, epoch, logs=None):
        loss = float((logs or {}).get("val_loss", 0.0))
        if not math.isfinite(loss):
            raise TrainingDiverged(
                f"Training diverged: after epoch {epoch + 1} the validation loss is {loss}. {self.advice}"
            )

    def _end(self, symptom: str, batch: int) -> None:
        epoch, number = self.keeper.epoch, self.keeper.batches_before + batch
        raise TrainingDiverged(f"Training diverged: {symptom} at epoch {epoch + 1}, batch {number + 1}. {self.advice}")


class StopWhenAsked(keras.callbacks.Callback):
    """Ends training after the batch in which a signal came, with a checkpoint of exactly that place.

    In a validation, which a checkpoint cannot be inside of, the epoch is completed first. It must be the last of the
    callbacks.

    Arguments:
        interruption: notes the signal.
        keeper: writes the checkpoint.
    """

    def __init__(self, interruption: Interruption, keeper: Checkpoint):
        super().__init__()
        self.interruption, self.keeper = interruption, keeper

    def on_train_batch_end(self, batch, logs=None):
        done, last = self.keeper.batches_before + batch + 1, batch + 1 >= (self.params.get("steps") or math.inf)
        if self.interruption.requested is not None and not last:
            self.keeper.save(self.keeper.epoch, done)
            self._end()

    def on_train_end(self, logs=None):
        if self.interruption.requested is not None:
            self._end()

    def _end(self) -> None:
        assert self.interruption.requested is not None
        raise Interrupted(self.interruption.requested, self.keeper.path)

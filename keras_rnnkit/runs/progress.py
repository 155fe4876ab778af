"""The progress of a training on the console, and the best weights in a file."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from keras_rnnkit.runs.best import save_best
from keras_rnnkit.runs.run import Run
from keras_rnnkit.training import averaged

ESTIMATE_AFTER = 20.0
"""Seconds of the first epoch after which a line says how long an epoch and the training will take."""

LONG_EPOCH = 900.0
"""Seconds of an epoch beyond which the user is told how to make it shorter."""


Ends = Callable[[list[float]], str | None]
"""Why training ends after epochs with these validation losses, in words; None if it does not."""


class EpochReport(keras.callbacks.Callback):
    """Shows a bar during each epoch and prints a line after it, keeps the best weights, and ends training by patience.

    Arguments:
        run: the run, whose settings have `epochs` and `patience`.
        history: the logs of the epochs before the current one, which a `Checkpoint` keeps.
        tokens: the number of tokens in a batch, for the speed.
        suffix: is added to the name of the file of the best weights.
        unit: what the loss is measured in.
        ends: says why training ends after epochs with these validation losses; None if it does not.
        settings: those of this training, where they are not the run's.
    """

    def __init__(
        self,
        run: Run,
        history: list[dict[str, float]],
        tokens: int,
        suffix: str = "",
        unit: str = "nats",
        ends: Ends | None = None,
        settings: Any = None,
    ):
        super().__init__()
        self.unit, self.ends = unit, ends
        self.run, self.console = run, run.console
        self.settings = run.settings if settings is None else settings
        self.history, self.tokens = history, tokens
        self.path = run.best_path(suffix)
        self.bar: Progress | None = None
        self.estimated = False

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch, self.began, self.done, self.first_batch = epoch, time.perf_counter(), 0, 0.0
        columns = (BarColumn(20), MofNCompleteColumn(), TextColumn("{task.description}"))
        self.bar = Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal)
        self.task = self.bar.add_task(f"epoch {epoch + 1}", total=self.params.get("steps"))
        self.bar.start()

    def on_train_batch_end(self, batch, logs=None):
        self.done += 1
        seconds = time.perf_counter() - self.began
        if self.bar is None or self.done == 1:  # the first one compiles the model, which must not count as speed
            self.first_batch = seconds
            return
        left = self.epoch_seconds(seconds) * (1 - self.done / self.steps)
        words = f"loss {logs['loss']:.3f}  {in_words(left)} left of epoch {self.epoch + 1}"
        self.bar.update(self.task, completed=self.done, description=words)
        if not self.estimated and seconds - self.first_batch > ESTIMATE_AFTER:
            self.estimated = True
            self.console.print(self.estimate(seconds))

    @property
    def steps(self) -> int:
        return self.params.get("steps") or self.done

    def epoch_seconds(self, seconds: float) -> float:
        """How long the epoch will take in all, from the seconds so far."""
        return self.first_batch + (seconds - self.first_batch) / max(1, self.done - 1) * (self.steps - 1)

    def estimate(self, seconds: float) -> str:
        """A sentence about the time of an epoch and of the training."""
        epoch, epochs = self.epoch_seconds(seconds), self.settings.epochs - self.epoch
        advice = "; --steps-per-epoch makes epochs shorter" if epoch > LONG_EPOCH else ""
        return f"          about {in_words(epoch)} an epoch, {in_words(epoch * epochs)} in all{advice}"

    def on_epoch_end(self, epoch, logs=None):
        self.close()
        logs["seconds"] = time.perf_counter() - self.began
        logs["tokens_per_second"] = self.done * self.tokens / logs["seconds"]
        logs["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        losses = [*(row["val_loss"] for row in self.history), logs["val_loss"]]
        best = best_epoch(losses)
        is_best = best == len(losses) - 1
        if is_best:
            self.save_weights()
        self.console.print(self.line(epoch, logs, is_best))
        reason = self.ends_with(losses)
        if reason:
            self.console.print(reason)
            self.model.stop_training = True

    def ends_with(self, losses: list[float]) -> str | None:
        """Why training ends after epochs with these validation losses, before the last epoch; None if it does not."""
        if self.ends is not None and losses and (reason := self.ends(losses)):
            return reason
        since = len(losses) - 1 - (best_epoch(losses) or 0)
        if self.settings.patience and losses and since >= self.settings.patience:
            return f"The validation loss has not improved for {since} epochs; training ends."
        return None

    def line(self, epoch: int, logs: dict[str, float], is_best: bool) -> str:
        """The line about an epoch, which fits into 80 columns."""
        return "  ".join(
            [
                f"epoch {epoch + 1:2d}/{self.settings.epochs}",
                f"train {logs['loss']:.4f}",
                f"valid {logs['val_loss']:.4f} {self.unit}{'*' if is_best else ' '}",
                f"clipped {logs['clip_ratio']:.0%}",
                f"rate {logs['learning_rate']:.2g}",
                in_words(logs["seconds"]),
            ]
        )

    def close(self) -> None:
        """Remove the bar, and show the cursor again."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def save_weights(self) -> None:
        """Write the weights, averaged where the optimizer keeps averages."""
        with averaged(self.model):
            weights = [np.asarray(keras.ops.convert_to_numpy(weight)) for weight in self.model.weights]
        save_best(weights, self.path, self.run.id)


def best_epoch(losses: list[float]) -> int | None:
    """The number of the first epoch with the lowest loss, from 0; None where no loss is a number.

    >>> best_epoch([math.nan, 2.0, 1.0, 1.0])
    2
    """
    numbers = [(loss, epoch) for epoch, loss in enumerate(losses) if math.isfinite(loss)]
    return min(numbers)[1] if numbers else None


def in_words(seconds: float) -> str:
    """A time as people write it.

    >>> in_words(7.2), in_words(200), in_words(20000)
    ('7 s', '3.3 min', '5.6 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"

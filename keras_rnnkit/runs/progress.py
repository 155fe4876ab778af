"""The progress of a training on the console, and the best weights in a file."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from keras_rnnkit.text.files import replacing
from keras_rnnkit.training import averaged


class EpochReport(keras.callbacks.Callback):
    """Shows a bar during each epoch and prints a line after it, keeps the best weights, and ends training by patience.

    Arguments:
        settings: the settings of the pipeline: `epochs`, `patience`, and `best`, the file of the weights.
        console: where to print.
        history: the logs of the epochs before the current one, which a `Checkpoint` keeps.
        tokens: the number of tokens in a batch, for the speed.
        path: the file of the best weights, where it is not `settings.best`.
    """

    def __init__(
        self,
        settings: Any,
        console: Console,
        history: list[dict[str, float]],
        tokens: int,
        path: Path | None = None,
    ):
        super().__init__()
        self.settings, self.console, self.history, self.tokens = settings, console, history, tokens
        self.path: Path = path or settings.best

    def on_epoch_begin(self, epoch, logs=None):
        self.began, self.done = time.perf_counter(), 0
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
        self.bar = Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal)
        self.task = self.bar.add_task(f"epoch {epoch + 1}", total=self.params.get("steps"))
        self.bar.start()

    def on_train_batch_end(self, batch, logs=None):
        self.done += 1
        self.bar.update(self.task, completed=self.done, description=f"loss {logs['loss']:.3f}")

    def on_epoch_end(self, epoch, logs=None):
        self.bar.stop()
        logs["seconds"] = time.perf_counter() - self.began
        logs["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        losses = [*(row["val_loss"] for row in self.history), logs["val_loss"]]
        best = losses.index(min(losses)) if not all(map(math.isnan, losses)) else 0
        if best == len(losses) - 1:
            self.save_weights()
        self.console.print(self.line(epoch, logs, is_best=best == len(losses) - 1))
        since = len(losses) - 1 - best
        if self.settings.patience and since >= self.settings.patience:
            self.console.print(f"The validation loss has not improved for {since} epochs; training ends.")
            self.model.stop_training = True

    def line(self, epoch: int, logs: dict[str, float], is_best: bool) -> str:
        """The line about an epoch."""
        loss, star = logs["val_loss"], "*" if is_best else " "
        return "   ".join(
            [
                f"epoch {epoch + 1:3d}/{self.settings.epochs}",
                f"train {logs['loss']:.4f}",
                f"valid {loss:.4f} nats, perplexity {math.exp(loss):.3f} {star}",
                f"clipped {logs['clip_ratio']:.0%}",
                f"rate {logs['learning_rate']:.3g}",
                f"{logs['seconds']:.0f} s, {self.done * self.tokens / logs['seconds']:,.0f} tokens/s",
            ]
        )

    def save_weights(self) -> None:
        """Write the weights, averaged where the optimizer keeps averages."""
        with averaged(self.model):
            weights = [np.asarray(keras.ops.convert_to_numpy(weight)) for weight in self.model.weights]
        with replacing(self.path) as temporary, temporary.open("wb") as file:
            np.savez(file, *weights)

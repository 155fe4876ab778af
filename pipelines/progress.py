"""What is seen while a language model trains, and what is kept of it."""

from __future__ import annotations

import io
import math
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from keras_rnnkit.training import averaged


class Watching(keras.callbacks.Callback):
    """A bar through each epoch and a line after it; keeps the best weights; ends when there has been nothing better.

    history: the logs of the epochs so far, which somebody else writes. tokens: how many a batch holds. path: of the
    best weights, where it is not what the settings say.
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
        seconds = time.perf_counter() - self.began
        logs["seconds"] = seconds
        logs["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        speed = self.done * self.tokens / seconds
        before = min((row["val_loss"] for row in self.history), default=math.inf)
        better = logs["val_loss"] < before
        if better:
            self.keep()
        valid = (
            f"valid {logs['val_loss']:.4f} nats, perplexity {math.exp(logs['val_loss']):.3f}{' *' if better else '  '}"
        )
        rate = f"clipped {logs['clip_ratio']:.0%}   rate {logs['learning_rate']:.3g}"
        pace = f"{rate}   {seconds:.0f} s, {speed:,.0f} tokens/s"
        self.console.print(f"epoch {epoch + 1:3d}/{self.settings.epochs}   train {logs['loss']:.4f}   {valid}   {pace}")
        losses = [*(row["val_loss"] for row in self.history), logs["val_loss"]]
        since = len(losses) - 1 - losses.index(min(losses))
        if self.settings.patience and since >= self.settings.patience:
            self.console.print(f"nothing better for {since} epochs")
            self.model.stop_training = True

    def keep(self) -> None:
        """Write the weights under a temporary name, then rename."""
        buffer = io.BytesIO()
        with averaged(self.model):
            np.savez(buffer, *weights_of(self.model))
        self.path.with_suffix(".part").write_bytes(buffer.getvalue())
        self.path.with_suffix(".part").replace(self.path)


def weights_of(model) -> list[np.ndarray]:
    return [np.asarray(keras.ops.convert_to_numpy(weight)) for weight in model.weights]

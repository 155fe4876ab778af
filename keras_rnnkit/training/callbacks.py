"""Callbacks for `model.fit`."""

from __future__ import annotations

import math
import time

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class CharacterProgress(keras.callbacks.Callback):
    """A progress bar that counts in characters: loss, bits per character, characters a second, time left.

    Arguments:
        steps: how many batches training will take.
        characters: how many characters a batch holds.
        console: where the bar is drawn; where that is no terminal, a line is printed now and then instead.
        recent: of how many batches the shown loss is the mean, and after how many a line is printed.

    >>> CharacterProgress(500, 32 * 50).describe(loss=1.3863, seconds=80.0, steps=400)
    'loss 1.39   2.00 bits per character   8,000 characters/s'
    """

    def __init__(self, steps: int, characters: int, console: Console | None = None, recent: int = 50):
        super().__init__()
        self.steps, self.characters, self.recent = steps, characters, recent
        self.console = console or Console()
        self.progress = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.task = self.progress.add_task("starting", total=steps)

    def describe(self, loss: float, seconds: float, steps: int) -> str:
        rate = steps * self.characters / seconds
        return f"loss {loss:.2f}   {loss / math.log(2):.2f} bits per character   {rate:,.0f} characters/s"

    def on_train_begin(self, logs=None):
        self.began, self.done = None, 0
        self.progress.start()

    def on_train_batch_end(self, batch, logs=None):
        self.done += 1
        if self.began is None:  # the first batch compiles the model and would spoil the rate
            self.began = time.perf_counter()
            return
        text = self.describe(logs["loss"], time.perf_counter() - self.began, self.done - 1)
        self.progress.update(self.task, completed=self.done, description=text)
        if self.done % self.recent == 0:
            self.model.reset_metrics()  # Keras' loss is the mean since the last reset
            if not self.console.is_terminal:
                self.console.print(f"{self.done}/{self.steps}   {text}")

    def on_train_end(self, logs=None):
        self.progress.stop()


class TimeLimit(keras.callbacks.Callback):
    """Ends training after the batch in which the time is over."""

    def __init__(self, seconds: float):
        super().__init__()
        self.seconds = seconds

    def on_train_begin(self, logs=None):
        self.end = time.perf_counter() + self.seconds

    def on_train_batch_end(self, batch, logs=None):
        if time.perf_counter() >= self.end:
            self.model.stop_training = True

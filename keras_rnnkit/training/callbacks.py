"""Callbacks for `model.fit`: a progress bar and a time limit."""

from __future__ import annotations

import math
import time

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class CharacterProgress(keras.callbacks.Callback):
    """A progress bar with the loss, bits per character, characters per second and the time left.

    Arguments:
        steps: the number of batches of the training.
        characters: the number of characters in a batch.
        console: where to draw the bar; on a console that is not a terminal, lines are printed instead.
        recent: the loss shown is the mean over that many batches, and a line is printed after as many.

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
    """Ends training after the batch in which a time has passed.

    Arguments:
        seconds: the time, from the beginning of `fit`.
    """

    def __init__(self, seconds: float):
        super().__init__()
        self.seconds = seconds

    def on_train_begin(self, logs=None):
        self.end = time.perf_counter() + self.seconds

    def on_train_batch_end(self, batch, logs=None):
        if time.perf_counter() >= self.end:
            self.model.stop_training = True

"""Where the time of training goes: the first batch, the others, what callbacks do between them, the validation."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

FIRST_TRACED, TRACED = 3, 10
"""The first batch that is traced for TensorBoard, and how many are."""


class StepProfile(keras.callbacks.Callback):
    """Measures the batches of a training, and traces some of them. It must be the first of the callbacks.

    Arguments:
        folder: the folder of the trace, for `tensorboard --logdir` with the profile plugin.
    """

    def __init__(self, folder: Path):
        super().__init__()
        self.folder = folder
        self.batches: list[float] = []
        self.between: list[float] = []
        self.validation = 0.0
        self.ended: float | None = None
        self.tracing = self.traced = False

    def on_train_batch_begin(self, batch, logs=None):
        self.began = time.perf_counter()
        if self.ended is not None:
            self.between.append(self.began - self.ended)
        if len(self.batches) == FIRST_TRACED and not self.traced:
            self._trace()

    def on_train_batch_end(self, batch, logs=None):
        self.ended = time.perf_counter()
        self.batches.append(self.ended - self.began)
        if self.tracing and len(self.batches) >= FIRST_TRACED + TRACED:
            self._end_trace()

    def on_test_begin(self, logs=None):
        self.test_began, self.ended = time.perf_counter(), None

    def on_test_end(self, logs=None):
        self.validation += time.perf_counter() - self.test_began

    def on_train_end(self, logs=None):
        self.ended = None  # another call of `fit` may follow
        if self.tracing:
            self._end_trace()

    def _trace(self) -> None:
        import tensorflow as tf

        tf.profiler.experimental.start(str(self.folder))
        self.tracing = self.traced = True

    def _end_trace(self) -> None:
        import tensorflow as tf

        tf.profiler.experimental.stop()
        self.tracing = False

    def rows(self, reading: float) -> dict[str, str]:
        """The times in words, by what they are of.

        Arguments:
            reading: seconds that reading a batch takes without training on it.
        """
        later = np.array(self.batches[1:])
        others = {"a batch, in the middle": 0.5, "a batch, the slowest of 20": 0.95}
        return {
            "first batch, with the compilation": f"{self.batches[0]:.2f} s",
            **{name: milliseconds(float(np.quantile(later, q))) for name, q in others.items() if len(later)},
            "reading a batch, by itself": milliseconds(reading),
            "checkpoints, samples and the bar, a batch": milliseconds(float(np.mean(self.between or [0.0]))),
            "all validations": f"{self.validation:.2f} s",
            "batches": f"{len(self.batches):,} in {sum(self.batches):.1f} s",
        }


def milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.2f} ms"


def reading_time(batches: Any, count: int = 50) -> float:
    """Seconds that reading a batch takes, the first one left out, because it opens the data."""
    iterator = iter(batches.dataset().take(count + 1))
    next(iterator, None)
    began, number = time.perf_counter(), 0
    for _ in iterator:
        number += 1
    return (time.perf_counter() - began) / max(1, number)

"""Two tasks that only a long memory solves: adding two marked numbers, and copying symbols after a pause.

Papers: S. Hochreiter and J. Schmidhuber, Long short-term memory, 1997; M. Arjovsky, A. Shah and Y. Bengio, Unitary
evolution recurrent neural networks, 2016, for the form of both that is common today.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_rnnkit.runs.rows import Rows

SYMBOLS, COPIED = 8, 10
"""How many symbols there are to copy, and how many are copied."""
BLANK, GO = 0, SYMBOLS + 1
READOUT = 128
"""Units of the layer by which a network that copies reads its state."""
HOPELESS_AFTER = 400
"""Batches after which a network is given up that is no better than one without a memory."""

Examples = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Task:
    """A task.

    name: in words. steps: T. make: draws (x, y) of some rows. unit: what its loss is measured in. baseline: the loss of
    the best model without a memory. target: the loss below which the task counts as solved.
    """

    name: str
    steps: int
    make: Callable[[np.random.Generator, int], Examples]
    unit: str
    baseline: float
    target: float

    def ending(self, losses: list[float], batches: int) -> str | None:
        """Why a training ends after epochs of so many batches with these validation losses; None if it does not.

        >>> adding(9).ending([0.2, 0.001], 100), copying(9).ending([0.7, 0.6], 100)
        ('The task is solved; training ends.', None)
        """
        if losses[-1] < self.target:
            return "The task is solved; training ends."
        if len(losses) * batches >= HOPELESS_AFTER and min(losses) > 0.95 * self.baseline:
            return f"After {len(losses) * batches} batches it is no better than without a memory; training ends."
        return None

    def examples(self, count: int, seed: int) -> Examples:
        """Examples by themselves, for validation."""
        return self.make(np.random.default_rng([seed, 2**31]), count)


def adding(steps: int) -> Task:
    """The sum of the two numbers that are marked, one in each half of the sequence [T, 2].

    >>> x, y = adding(6).make(np.random.default_rng(0), 1)
    >>> x.shape, x[0, :, 1].sum(), bool(np.isclose(y[0, 0], (x[0, :, 0] * x[0, :, 1]).sum()))
    ((1, 6, 2), np.float32(2.0), True)
    """

    def make(rng: np.random.Generator, rows: int) -> Examples:
        x = np.zeros((rows, steps, 2), np.float32)
        x[..., 0] = rng.random((rows, steps))
        for first, last in ((0, steps // 2), (steps // 2, steps)):
            x[np.arange(rows), rng.integers(first, last, rows), 1] = 1
        return x, (x[..., 0] * x[..., 1]).sum(1, keepdims=True)

    return Task(f"adding, T = {steps}", steps, make, "MSE", baseline=1 / 6, target=0.01)


def copying(steps: int) -> Task:
    """Ten symbols to be written again after T steps, [T + 20] tokens; blanks are to be written until then.

    >>> x, y = copying(3).make(np.random.default_rng(0), 1)
    >>> x.shape, bool((x[0, :10] == y[0, 13:]).all()), x[0, 10:].tolist()
    ((1, 23), True, [0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    """

    def make(rng: np.random.Generator, rows: int) -> Examples:
        symbols = rng.integers(1, SYMBOLS + 1, (rows, COPIED))
        x, y = np.full((2, rows, steps + 2 * COPIED), BLANK, np.int32)
        x[:, :COPIED], x[:, steps + COPIED - 1], y[:, steps + COPIED :] = symbols, GO, symbols
        return x, y

    baseline = COPIED * math.log(SYMBOLS) / (steps + 2 * COPIED)
    return Task(f"copying, T = {steps}", steps, make, "nats", baseline, target=baseline / 2)


class Generated(Rows):
    """Batches of examples that are drawn anew for every batch, so that nothing can be learned by heart.

    Arguments:
        make: draws (x, y) of some rows.
        count: batches of an epoch.
        batch: rows of a batch.
        seed: the same seed, epoch and number of a batch give the same examples.

    >>> batches = Generated(adding(4).make, count=3, batch=2)
    >>> len(batches), batches.batch(2)[0].shape, bool((batches.batch(0)[0] == batches.batch(0)[0]).all())
    (3, (2, 4, 2), True)
    """

    def __init__(self, make: Callable[[np.random.Generator, int], Examples], count: int, batch: int, seed: int = 0):
        super().__init__(*make(np.random.default_rng(0), 1), batch, seed)
        self.make, self.count = make, count

    def __len__(self) -> int:
        return self.count

    def batch(self, number: int) -> Examples:
        return self.make(np.random.default_rng([self.seed, self.epoch, number]), self.rows)


def model_of(task: Task, layers: list[Any], name: str) -> Any:
    """A compiled model of a task: recurrent layers from the bottom up, and what the task has around them."""
    import keras

    import keras_rnnkit as rk

    copies = task.unit == "nats"
    x = inputs = keras.Input((None,), dtype="int32") if copies else keras.Input((None, 2), name="numbers")
    if copies:
        x = keras.layers.Embedding(GO + 1, GO + 1, embeddings_initializer="identity", trainable=False)(x)
    for layer in layers:
        x = layer(x)
    # A network that adds shows its last state to a single number; one that copies must look for its symbols in it.
    x = keras.layers.Dense(READOUT, "relu", name="readout")(x) if copies else x[:, -1]
    y = keras.layers.Dense(SYMBOLS + 1 if copies else 1, name="answer", dtype="float32")(x)
    model = keras.Model(inputs, y, name=name)
    model.compile("adam", rk.training.NextToken() if copies else "mse")
    return model

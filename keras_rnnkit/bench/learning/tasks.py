"""The tasks: characters of a text, numbers to add, and tokens to copy, with what is learned and how it is judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

L = keras.layers


@dataclass
class Task:
    """Arrays of inputs and targets, the layers around a network, its loss, and the unit in which it is judged.

    rows: of a batch. score: the loss, or the share of right tokens, on rows that were not trained on.
    """

    train: tuple[np.ndarray, np.ndarray]
    valid: tuple[np.ndarray, np.ndarray]
    head: Any
    loss: Any
    rows: int
    steps_of_epoch: int
    unit: str

    def score(self, model: keras.Model) -> float:
        x, y = self.valid
        predicted = model.predict(x, batch_size=self.rows, verbose=0)
        if self.unit == "right":
            counted = y > 0
            return float((predicted.argmax(-1) == y)[counted].mean())
        loss = float(np.mean(keras.ops.convert_to_numpy(self.loss(y, predicted))))
        return loss / np.log(2) if self.unit == "bits" else loss


def characters(text: str, steps: int, rng, rows: int = 16, length: int = 128) -> Task:
    """The next character; judged in bits on the last twentieth of the text."""
    alphabet = sorted(set(text))
    tokens = np.searchsorted(alphabet, list(text)).astype("int32")
    cut = len(tokens) * 19 // 20
    windows = rng.integers(0, cut - length - 1, steps * rows)[:, None] + np.arange(length + 1)
    valid = np.arange(cut, len(tokens) - length - 1, length)[: rows * 20, None] + np.arange(length + 1)
    size = len(alphabet)

    def head(units: int):
        return [keras.Input((length,), dtype="int32"), L.Embedding(size, units)], [L.Dense(size)]

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    train, valid = ((tokens[w][:, :-1], tokens[w][:, 1:]) for w in (windows, valid))
    return Task(train, valid, head, loss, rows, cut // (rows * length), "bits")


def adding(length: int, steps: int, rng, rows: int = 16) -> Task:
    """The sum of the two numbers, of many in [0, 1), that are marked; always answering 1 has an error of 0.167."""

    def drawn(count: int):
        x = np.zeros((count, length, 2), "float32")
        x[..., 0] = rng.random((count, length))
        marks = np.stack([rng.integers(0, length // 2, count), rng.integers(length // 2, length, count)], axis=1)
        x[np.arange(count)[:, None], marks, 1] = 1.0
        return x, np.take_along_axis(x[..., 0], marks, axis=1).sum(axis=1, keepdims=True)

    def head(units: int):
        return [keras.Input((length, 2)), L.Dense(units)], [LastStep(), L.Dense(1)]

    train, valid = drawn(steps * rows), drawn(20 * rows)
    return Task(train, valid, head, keras.losses.MeanSquaredError(), rows, steps, "error")


def copying(length: int, steps: int, rng, rows: int = 16, count: int = 8, size: int = 8) -> Task:
    """The tokens that are scattered among noise, in their order at the end; guessing is right in one of `size`."""

    def drawn(number: int):
        x = np.zeros((number, length + count), "int32")
        tokens = rng.integers(1, size + 1, (number, count))
        places = np.sort(np.argsort(rng.random((number, length)), axis=1)[:, :count], axis=1)
        np.put_along_axis(x, places, tokens, axis=1)
        x[:, length:] = size + 1  # asks for the next token
        y = np.zeros_like(x)
        y[:, length:] = tokens
        return x, y

    def head(units: int):
        before = [keras.Input((length + count,), dtype="int32"), L.Embedding(size + 2, units)]
        return before, [L.Dense(size + 1)]

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0)
    return Task(drawn(steps * rows), drawn(10 * rows), head, loss, rows, steps, "right")


class LastStep(L.Layer):
    """The output of the last step."""

    def call(self, x):
        return x[:, -1]

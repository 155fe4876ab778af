"""Windows over a long sequence of tokens, with the tokens that come next as targets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from keras_rnnkit.text import TextError
from keras_rnnkit.tf_datasets import numbered_batches

ORDERS = ("sequential", "random")


class Places:
    """The beginnings [B] and the length of the windows of each batch of an epoch.

    Arguments:
        count: the number of batches.
        at: gives the beginnings and the length for the number of a batch. They are computed when they are asked for.
    """

    def __init__(self, count: int, at: Callable[[int], tuple[np.ndarray, int]]):
        self.count, self.at = count, at

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> tuple[np.ndarray, int]:
        if not 0 <= number < self.count:
            raise IndexError(f"There are {self.count} batches. Received: number {number}.")
        return self.at(number)


class Windows:
    """Batches of windows x [B, T] of a long sequence, with targets y [B, T]: y is the token after each of x.

        sequential    row b of a batch continues where row b of the batch before ended, so that states can be carried
        random        adjacent windows from a random offset, a new one each epoch, in random order

    Nothing of the sequence is copied but the batch itself.

    Arguments:
        ids: the numbers of the tokens, an array or a `numpy.memmap` of a file.
        batch: rows of a batch.
        steps: length of a window.
        order: "sequential" or "random".
        seed: seed of all random choices; the same seed and epoch give the same batches.
        document_end: the token that ends a document. The input is then {"tokens": x, "reset": flags}, with flags true
            at the first token of each document, for `reset_mask=` of our layers.
        varied: whether windows have random lengths around `steps`, and around half of it for one in twenty, the same
            for all rows, so that no token always stands at the beginning of a window (Merity, Regularizing and
            optimizing LSTM language models, 2018). The number of windows stays the same. Sequential order only.

    In sequential order each row goes through (len(ids) - 1) // batch tokens. Of these an epoch leaves out fewer than
    `steps` at the end, and none with `varied`. In random order an epoch leaves out fewer than steps * (batch + 1)
    tokens, other ones each epoch.

    >>> windows = Windows(np.arange(13), batch=2, steps=3)
    >>> [x.tolist() for x, y in windows.batches()]
    [[[0, 1, 2], [6, 7, 8]], [[3, 4, 5], [9, 10, 11]]]
    """

    def __init__(
        self,
        ids: np.ndarray,
        batch: int,
        steps: int,
        order: str = "sequential",
        seed: int = 0,
        document_end: int | None = None,
        varied: bool = False,
    ):
        if batch < 1 or steps < 1:
            raise TextError(f"batch and steps must be 1 or more. Received: batch={batch}, steps={steps}.")
        if order not in ORDERS:
            raise TextError(f"Received: order={order!r}. Expected one of {', '.join(map(repr, ORDERS))}.")
        if varied and order == "random":
            raise TextError(
                "Windows of varied length must follow each other. Received: varied=True with order='random'. Use "
                "order='sequential', or leave varied out."
            )
        needed = batch * steps + 1
        if len(ids) < needed:
            raise TextError(
                f"{batch} rows of {steps} steps need {needed} tokens. Received: a text of {len(ids)}. Make batch or "
                "steps smaller, or the text longer."
            )
        self.ids, self.batch, self.steps, self.order = ids, batch, steps, order
        self.seed, self.document_end, self.varied = seed, document_end, varied
        self.epoch = 0

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self.places(0))

    @property
    def row_length(self) -> int:
        """The number of tokens that a row reads in sequential order."""
        return (len(self.ids) - 1) // self.batch

    def places(self, epoch: int) -> Places:
        """The beginnings [B] and the length of the windows of each batch."""
        if self.order == "random":
            return self._random_places(np.random.default_rng([self.seed, epoch]))
        ends = self._ends(np.random.default_rng([self.seed, epoch]))
        rows = np.arange(self.batch) * self.row_length

        def at(number: int) -> tuple[np.ndarray, int]:
            begin = int(ends[number - 1]) if number else 0
            return rows + begin, int(ends[number]) - begin

        return Places(len(ends), at)

    def _ends(self, random: np.random.Generator) -> np.ndarray:
        """The ends of the windows of a row, counted from its first token."""
        count = self.row_length // self.steps
        if not self.varied:
            return self.steps * np.arange(1, count + 1)
        means = np.where(random.random(count) < 0.95, self.steps, self.steps / 2)
        lengths = np.maximum(1, random.normal(means, min(5.0, self.steps / 4)))
        # One token for each window, so that none is empty, and the rest in proportion, so that none is left over.
        shares = np.cumsum(lengths) / np.sum(lengths)
        return np.arange(1, count + 1) + np.rint((self.row_length - count) * shares).astype(int)

    def _random_places(self, random: np.random.Generator) -> Places:
        # An epoch must have as many windows whatever the offset, so the offset never takes one away.
        spare = len(self.ids) - 1 - self.batch * self.steps
        offset = int(random.integers(min(self.steps, spare + 1)))
        count = (len(self.ids) - 1 - min(self.steps - 1, spare)) // self.steps
        begins = offset + self.steps * random.permutation(count)
        return Places(count // self.batch, lambda i: (begins[i * self.batch : (i + 1) * self.batch], self.steps))

    def batches(self, epoch: int = 0, start: int = 0) -> Iterator[tuple[Any, np.ndarray]]:
        """The batches of an epoch as arrays.

        Arguments:
            epoch: the epoch, from 0.
            start: the first batch, for an epoch that is resumed in the middle.
        """
        places = self.places(epoch)
        for number in range(start, len(places)):
            yield self._batch(*places[number])

    def _batch(self, begins: np.ndarray, length: int) -> tuple[Any, np.ndarray]:
        window = np.asarray(self.ids[begins[:, None] + np.arange(length + 1)], np.int32)
        if self.document_end is None:
            return window[:, :-1], window[:, 1:]
        before = np.where(begins > 0, self.ids[np.maximum(begins - 1, 0)], self.document_end)
        ended = np.concatenate([before[:, None], window[:, :-2]], axis=1) == self.document_end
        return {"tokens": window[:, :-1], "reset": ended}, window[:, 1:]

    def dataset(self, start: int = 0) -> Any:
        """A `tf.data.Dataset` of the batches of epoch `self.epoch`, which is read when the iteration begins.

        `keras_rnnkit.training.FollowEpochs(windows)` sets the epoch while a model trains.

        Arguments:
            start: the first batch, for an epoch that is resumed in the middle.
        """
        import tensorflow as tf

        current: list[Places] = []

        def look_up(number):
            if number == start or not current:
                current[:] = [self.places(self.epoch)]
            x, y = self._batch(*current[0][number])
            return (x, y) if self.document_end is None else (x["tokens"], x["reset"], y)

        dtypes = [tf.int32, tf.int32] if self.document_end is None else [tf.int32, tf.bool, tf.int32]
        shape = (self.batch, None if self.varied else self.steps)

        def window(number):
            *x, y = (tf.ensure_shape(array, shape) for array in tf.numpy_function(look_up, [number], dtypes))
            return (x[0] if len(x) == 1 else {"tokens": x[0], "reset": x[1]}), y

        return numbered_batches(start, len(self), window)

"""Windows over a long sequence of tokens, with the tokens that come next as targets."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from keras_rnnkit.text import TextError

ORDERS = ("sequential", "random")


class Windows:
    """Batches of windows x [B, T] and targets y [B, T], y the token after each of x. Nothing of the corpus is copied.

        sequential    row b of a batch goes on where row b of the batch before stopped, so that states can be carried
        random        windows side by side from a random offset, another one each epoch, in random order

    Arguments:
        ids: the numbers of the tokens, an array or a `numpy.memmap` of a file.
        batch: rows of a batch. steps: of a window.
        order: "sequential" or "random".
        seed: of all that is random; the same seed and epoch give the same batches.
        document_end: the token that ends a document; the input is then {"tokens": x, "reset": flags}, the flags true at
            the first token of each, for `reset_mask=`.
        varied: windows of random length around `steps`, now and then around half of it, the same for all rows
            (randomised truncation; Merity, Regularizing and optimizing LSTM language models, 2018).

    The tokens left over at the end, fewer than a batch of windows, are not used in an epoch.

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
            raise TextError(f"batch and steps are 1 or more. Received: batch={batch}, steps={steps}.")
        if order not in ORDERS:
            raise TextError(f"Received: order={order!r}. Expected one of {', '.join(map(repr, ORDERS))}.")
        if varied and order == "random":
            raise TextError(
                "Windows of varied length go on from each other. Received: varied=True with order='random'."
            )
        needed = batch * steps + 1
        if len(ids) < needed:
            raise TextError(
                f"{batch} rows of {steps} steps take {needed} tokens. Received: a text of {len(ids)}. Make batch or "
                "steps smaller, or the text longer."
            )
        self.ids, self.batch, self.steps, self.order = ids, batch, steps, order
        self.seed, self.document_end, self.varied = seed, document_end, varied

    def __len__(self) -> int:
        """Batches in an epoch, the first if they vary."""
        return len(self.places(0))

    @property
    def row_length(self) -> int:
        """Of the part of the corpus that a row goes through, in sequential order."""
        return (len(self.ids) - 1) // self.batch

    def places(self, epoch: int) -> list[tuple[np.ndarray, int]]:
        """Where each window of each batch begins [B], and how long they are."""
        if self.order == "random":
            return self._random_places(np.random.default_rng([self.seed, epoch]))
        ends = self._ends(np.random.default_rng([self.seed, epoch]))
        rows = np.arange(self.batch) * self.row_length
        return [(rows + begin, end - begin) for begin, end in itertools.pairwise([0, *ends])]

    def _ends(self, random: np.random.Generator) -> list[int]:
        if not self.varied:
            return list(range(self.steps, self.row_length + 1, self.steps))
        ends: list[int] = []
        end = 0
        while True:
            mean = self.steps if random.random() < 0.95 else self.steps / 2
            end += max(1, round(random.normal(mean, min(5.0, self.steps / 4))))
            if end > self.row_length:
                return ends or [self.row_length]
            ends.append(end)

    def _random_places(self, random: np.random.Generator) -> list[tuple[np.ndarray, int]]:
        offset = int(random.integers(min(self.steps, len(self.ids) - self.batch * self.steps)))
        count = (len(self.ids) - 1 - offset) // self.steps
        begins = offset + self.steps * random.permutation(count)
        return [(begins[i : i + self.batch], self.steps) for i in range(0, count - self.batch + 1, self.batch)]

    def batches(self, epoch: int = 0, start: int = 0) -> Iterator[tuple[Any, np.ndarray]]:
        """The batches of an epoch as arrays, from number `start` on."""
        for begins, length in self.places(epoch)[start:]:
            window = np.asarray(self.ids[begins[:, None] + np.arange(length + 1)], np.int32)
            yield self._inputs(window, begins), window[:, 1:]

    def _inputs(self, window: np.ndarray, begins: np.ndarray) -> Any:
        if self.document_end is None:
            return window[:, :-1]
        before = np.where(begins > 0, self.ids[np.maximum(begins - 1, 0)], self.document_end)
        ended = np.concatenate([before[:, None], window[:, :-2]], axis=1) == self.document_end
        return {"tokens": window[:, :-1], "reset": ended}

    def dataset(self, epoch: int = 0, start: int = 0) -> Any:
        """A `tf.data.Dataset` of one epoch; each time it is gone through it is the next one.

        The first time it begins at batch `start`, which is how training goes on in the middle of an epoch.
        """
        import tensorflow as tf

        epochs, starts = itertools.count(epoch), itertools.chain([start], itertools.repeat(0))
        shape = (self.batch, None if self.varied else self.steps)
        tokens = tf.TensorSpec(shape, tf.int32)
        inputs = tokens if self.document_end is None else {"tokens": tokens, "reset": tf.TensorSpec(shape, tf.bool)}
        batches = tf.data.Dataset.from_generator(
            lambda: self.batches(next(epochs), next(starts)), output_signature=(inputs, tokens)
        )
        return batches.prefetch(4)

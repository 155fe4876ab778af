"""Windows over series, with what follows each of their steps as targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_rnnkit.text import TextError
from keras_rnnkit.tf_datasets import numbered_batches

MANY_WINDOWS = 2000
"""By default, an epoch has about this many windows at most."""


class ForecastWindows:
    """Batches of windows over series for `rk.training.fit`.

    A window has `steps` steps of one series. The targets of each step are the next `horizon` values; those after the
    end of the series, and those that are NaN, are NaN, and `GaussianNLL` and `Pinball` leave them out. The windows of
    an epoch begin every `stride` steps, from another first step in each epoch, and come in random order.

    Arguments:
        channels: the inputs [T, D] of each series.
        targets: the values to forecast [T] of each series.
        steps: steps of a window.
        horizon: how many values after each step are its targets.
        batch: windows of a batch; the last batch of an epoch may have fewer.
        stride: steps between the beginnings of windows; None is 1, or more where there would be over 2000 windows.
        seed: seed of the random order; the same seed and epoch give the same batches.

    >>> windows = ForecastWindows([np.arange(6.0)[:, None]], [np.arange(6.0)], steps=3, horizon=2, batch=4, seed=1)
    >>> x, y = windows.batch(0)
    >>> len(windows), x.shape, y.shape
    (1, (3, 3, 1), (3, 3, 2))
    >>> last = int(x[:, 0, 0].argmax())
    >>> x[last, :, 0].tolist(), y[last].tolist()
    ([2.0, 3.0, 4.0], [[3.0, 4.0], [4.0, 5.0], [5.0, nan]])
    """

    def __init__(
        self,
        channels: Sequence[np.ndarray],
        targets: Sequence[np.ndarray],
        steps: int,
        horizon: int = 1,
        batch: int = 16,
        stride: int | None = None,
        seed: int = 0,
    ):
        short = [len(values) for values in targets if len(values) < steps + 1]
        if short or not targets:
            raise TextError(
                f"Windows of {steps} steps need series of {steps + 1} values. Received: {min(short, default=0)}."
            )
        self.channels = [np.asarray(array, np.float32) for array in channels]
        self.targets = [targets_of(np.asarray(values, np.float32), horizon) for values in targets]
        self.steps, self.rows, self.seed, self.epoch = steps, batch, seed, 0
        places = [(number, first) for number, values in enumerate(targets) for first in range(len(values) - steps)]
        self.places = np.array(places)
        self.stride = stride or max(1, len(places) // MANY_WINDOWS)
        self._order: tuple[int | None, np.ndarray] = (None, np.zeros(0, int))

    @property
    def count(self) -> int:
        """Windows of an epoch."""
        return max(1, len(self.places) // self.stride)

    def __len__(self) -> int:
        """Batches in an epoch."""
        return -(-self.count // self.rows)

    def batch(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """A batch of the epoch `self.epoch`, by its number: inputs [B, T, D] and targets [B, T, horizon]."""
        if self._order[0] != self.epoch:
            random = np.random.default_rng([self.seed, self.epoch])
            first = int(random.integers(self.stride))
            self._order = self.epoch, random.permutation(np.arange(first, len(self.places), self.stride)[: self.count])
        chosen = self.places[self._order[1][number * self.rows : (number + 1) * self.rows]]
        x = np.stack([self.channels[series][first : first + self.steps] for series, first in chosen])
        y = np.stack([self.targets[series][first : first + self.steps] for series, first in chosen])
        return x, y

    def dataset(self, start: int = 0) -> Any:
        """A `tf.data.Dataset` of the batches of epoch `self.epoch`, which is read when the iteration begins.

        Arguments:
            start: the first batch, for an epoch that is resumed in the middle.
        """
        import tensorflow as tf

        shapes = [(None, self.steps, array[0].shape[1]) for array in (self.channels, self.targets)]

        def look_up(number):
            return self.batch(int(number))

        def windows(number):
            arrays = tf.numpy_function(look_up, [number], [tf.float32, tf.float32])
            return tuple(tf.ensure_shape(array, shape) for array, shape in zip(arrays, shapes, strict=True))

        return numbered_batches(start, len(self), windows)


def targets_of(values: np.ndarray, horizon: int) -> np.ndarray:
    """The next values after each step [T, horizon]; NaN after the end.

    >>> targets_of(np.array([1.0, 2.0, 3.0]), 2).tolist()
    [[2.0, 3.0], [3.0, nan], [nan, nan]]
    """
    padded = np.concatenate([values, np.full(horizon, np.nan, values.dtype)])
    return np.lib.stride_tricks.sliding_window_view(padded[1:], horizon)


def contexts_of(channels: np.ndarray, origins: np.ndarray, steps: int) -> np.ndarray:
    """The last steps up to each origin [N, steps, D].

    Arguments:
        channels: the inputs [T, D] of a series.
        origins: the numbers of steps, each steps - 1 or more.
        steps: steps of a context.

    >>> contexts_of(np.arange(5.0)[:, None], np.array([1, 4]), 2)[..., 0].tolist()
    [[0.0, 1.0], [3.0, 4.0]]
    """
    return channels[np.asarray(origins)[:, None] + np.arange(1 - steps, 1)]

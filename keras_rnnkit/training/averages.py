"""Weights averaged over the latest steps: they are judged and kept, while training goes on from the weights themselves.

    average <- momentum average + (1 - momentum) weights

Keras' optimizers keep that average with use_ema=True, ema_momentum=momentum, and those of `averaging` one that is of
use from the first steps on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras
from keras import ops

from keras_rnnkit import keras_internals


class Averaging(keras_internals.AveragesWeights):
    """What `averaging` changes in an optimizer."""

    iterations: keras.Variable
    ema_momentum: float

    def update_averages(self, weights_and_averages):
        steps = ops.cast(self.iterations, "float32")
        momentum = ops.minimum(self.ema_momentum, steps / (steps + 9.0))
        for weight, average in weights_and_averages:
            kept = ops.cast(momentum, weight.dtype)
            average.assign(kept * average + (1 - kept) * weight)


def averaging(optimizer: keras.optimizers.Optimizer, momentum: float) -> keras.optimizers.Optimizer:
    """The same optimizer, which keeps an average of the weights over some 1 / (1 - momentum) steps.

    Keras' average begins with the first weights, which weigh in it for thousands of steps where momentum is 0.999. Here
    the momentum after t steps is t / (t + 9) at most, so the average always is one of the later part of all steps.

    >>> optimizer = averaging(keras.optimizers.SGD(1.0), 0.999)
    >>> weight = keras.Variable([0.0])
    >>> for _ in range(10):
    ...     optimizer.apply([ops.convert_to_tensor([-1.0])], [weight])
    >>> ((_, average),) = keras_internals.averages(optimizer)
    >>> float(weight.numpy()[0]), round(float(average.numpy()[0]), 3)
    (10.0, 9.1)
    """
    if not 0 <= momentum < 1:
        raise ValueError(f"A momentum is from 0 to 1, without 1. Received: momentum={momentum}.")
    optimizer.use_ema, optimizer.ema_momentum = True, momentum
    cls = type(optimizer)
    optimizer.__class__ = type(cls.__name__, (Averaging, cls), {"__module__": cls.__module__})
    return optimizer


class AveragedWeights(keras.callbacks.Callback):
    """Validates by the averaged weights, while the model keeps its own; nothing where the optimizer has no average.

    Keras' SwapEMAWeights swaps by sums and differences, which rounds, and `fit` ends by putting the averages in the
    model. Here all weights come back bit for bit, so that another `fit`, or one from a checkpoint, goes on as if there
    had been no end. `averaged(model)` gives the averages.
    """

    def __init__(self):
        super().__init__()
        self.own: list = []  # weights at the end of an epoch

    def on_epoch_end(self, epoch, logs=None):
        self.own = [ops.copy(weight.value) for weight, _ in averages_of(self.model)]

    def on_train_end(self, logs=None):
        if self.own:
            for (weight, _), own in zip(averages_of(self.model), self.own, strict=True):
                weight.assign(own)

    def on_test_begin(self, logs=None):
        swap(self.model)

    def on_test_end(self, logs=None):
        swap(self.model)


@contextmanager
def averaged(model) -> Iterator[None]:
    """Within it the model has its averaged weights, if its optimizer keeps them."""
    swap(model)
    try:
        yield
    finally:
        swap(model)


def swap(model) -> None:
    for weight, average in averages_of(model):
        before = ops.copy(weight.value)
        weight.assign(average.value)
        average.assign(before)


def averages_of(model) -> list[tuple[keras.Variable, keras.Variable]]:
    """Each weight with its average, if the optimizer keeps them."""
    optimizer = model.optimizer
    return keras_internals.averages(optimizer) if getattr(optimizer, "use_ema", False) else []

"""Averages of the weights over the latest steps, for evaluation, while training continues from the weights themselves.

    average <- momentum average + (1 - momentum) weights

Keras' optimizers keep such an average with use_ema=True, ema_momentum=momentum. `averaging` keeps one that is useful
from the first steps on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras
from keras import ops

from keras_rnnkit import keras_internals
from keras_rnnkit.training.optimizers import applied, extend


class Averaging(keras_internals.AveragesWeights):
    """The methods that `averaging` adds to the class of an optimizer."""

    iterations: keras.Variable
    ema_momentum: float

    def update_averages(self, weights_and_averages):
        steps = ops.cast(self.iterations, "float32")
        momentum = ops.minimum(self.ema_momentum, steps / (steps + 9.0))
        for weight, average in weights_and_averages:
            share = ops.cast(momentum, weight.dtype)
            average.assign(share * average + (1 - share) * weight)


def averaging(optimizer: keras.optimizers.Optimizer, momentum: float) -> keras.optimizers.Optimizer:
    """The same optimizer, which keeps an average of the weights over about 1 / (1 - momentum) steps.

    Keras' average begins with the first weights, and with a momentum of 0.999 these dominate it for thousands of steps.
    Here the momentum after t steps is at most t / (t + 9), so the average always covers the later part of the steps.

    A `.keras` file has the optimizer as Keras' own with use_ema=True, its averages and iterations included. Call
    `averaging(model.optimizer, momentum)` again after loading to continue by the rule above.

    Arguments:
        optimizer: any Keras optimizer, built or not. One that is built must have been made with use_ema=True.
        momentum: from 0 to below 1, such as 0.999.

    >>> optimizer = averaging(keras.optimizers.SGD(1.0), 0.999)
    >>> weight = keras.Variable([0.0])
    >>> for _ in range(10):
    ...     optimizer.apply([ops.convert_to_tensor([-1.0])], [weight])
    >>> ((_, average),) = keras_internals.averages(optimizer)
    >>> float(weight.numpy()[0]), round(float(average.numpy()[0]), 3)
    (10.0, 9.1)
    """
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum must be from 0 to below 1. Received: momentum={momentum}.")
    inner = applied(optimizer)
    if inner.built and not inner.use_ema:
        raise ValueError(
            f"The optimizer {inner.name!r} was built without averages, and its variables cannot change any more. Call "
            "averaging() before the model is trained, or give a new optimizer."
        )
    inner.use_ema, inner.ema_momentum = True, momentum
    extend(optimizer, Averaging)
    return optimizer


class AveragedWeights(keras.callbacks.Callback):
    """Validates with the averaged weights, while the model trains on with its own.

    Use it with an optimizer of `averaging`, or any Keras optimizer with use_ema=True. `keras_rnnkit.training.fit` adds
    it where the optimizer keeps averages.

    Keras' SwapEMAWeights swaps by sums and differences, which rounds, and `fit` ends by putting the averages into the
    model. Here all weights come back bit for bit, so that another `fit`, or one from a checkpoint, continues as if
    training had not ended. `averaged(model)` gives the averages.
    """

    def __init__(self):
        super().__init__()
        self.own: list = []  # the weights at the end of an epoch

    def on_train_begin(self, logs=None):
        if not applied(self.model.optimizer).use_ema:
            raise ValueError(
                "AveragedWeights needs an optimizer that keeps averages: rk.training.averaging(optimizer, 0.999) or "
                f"use_ema=True. Received: {type(applied(self.model.optimizer)).__name__} without."
            )

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
    """Inside, the model has its averaged weights, if its optimizer keeps them; afterwards its own.

    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile(averaging(keras.optimizers.SGD(), 0.999), "mse")
    >>> _ = model.fit(ops.ones((4, 1)), ops.ones((4, 1)), callbacks=[AveragedWeights()], verbose=0)
    >>> with averaged(model):
    ...     prediction = model.predict(ops.ones((1, 1)), verbose=0)
    """
    swap(model)
    try:
        yield
    finally:
        swap(model)


def swap(model) -> None:
    """Exchange the weights of a model and their averages."""
    for weight, average in averages_of(model):
        before = ops.copy(weight.value)
        weight.assign(average.value)
        average.assign(before)


def averages_of(model) -> list[tuple[keras.Variable, keras.Variable]]:
    """Each weight with its average, if the optimizer of the model keeps them."""
    return keras_internals.averages(applied(model.optimizer)) if model.optimizer is not None else []

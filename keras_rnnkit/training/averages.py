"""Weights averaged over the latest steps: they are judged and kept, while training goes on from the weights themselves.

    average <- momentum average + (1 - momentum) weights

Keras' optimizers keep that average with use_ema=True, ema_momentum=momentum.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras


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
        self.own = [keras.ops.copy(weight.value) for weight, _ in averages_of(self.model)]

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
        before = keras.ops.copy(weight.value)
        weight.assign(average.value)
        average.assign(before)


def averages_of(model) -> list[tuple[keras.Variable, keras.Variable]]:
    """Each weight with its average, if the optimizer keeps them."""
    optimizer = model.optimizer
    if not getattr(optimizer, "use_ema", False):
        return []
    return list(zip(optimizer._trainable_variables, optimizer._model_variables_moving_average, strict=True))

"""Weights averaged over the latest steps: they are judged and kept, while training goes on from the weights themselves.

    average <- momentum average + (1 - momentum) weights

Keras' optimizers keep that average with use_ema=True, ema_momentum=momentum.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras


class AveragedWeights(keras.callbacks.Callback):
    """Validates by the averaged weights; nothing where the optimizer keeps none.

    Keras' SwapEMAWeights swaps by sums and differences, which rounds; here all weights come back bit for bit, so that
    training goes on from a checkpoint as it would have without one.
    """

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
    optimizer = model.optimizer
    if not getattr(optimizer, "use_ema", False):
        return
    for weight, average in zip(optimizer._trainable_variables, optimizer._model_variables_moving_average, strict=True):
        before = keras.ops.copy(weight.value)
        weight.assign(average.value)
        average.assign(before)

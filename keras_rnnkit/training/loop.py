"""`model.fit` over windows of a long sequence, from the beginning or from a checkpoint."""

from __future__ import annotations

import contextlib
from typing import Any

import keras
import numpy as np

from keras_rnnkit import keras_internals
from keras_rnnkit.training.averages import AveragedWeights
from keras_rnnkit.training.checkpoint import metric_variables, with_dtype_of
from keras_rnnkit.training.distribution import warn_if_unsynchronized
from keras_rnnkit.training.optimizers import applied
from keras_rnnkit.training.preparation import check_prepared
from keras_rnnkit.training.state import CarriedState, carries


class FollowEpochs(keras.callbacks.Callback):
    """For `model.fit(windows.dataset())`: every epoch has its own windows.

    Arguments:
        windows: a `Windows` or `Pairs` object, whose `epoch` is set when an epoch begins.
    """

    def __init__(self, windows):
        super().__init__()
        self.windows = windows

    def on_epoch_begin(self, epoch, logs=None):
        self.windows.epoch = epoch


class ContinuedMetrics(keras.callbacks.Callback):
    """Continues the metrics of an epoch that is resumed in the middle, so that its logs are of the whole epoch.

    Keras and other callbacks reset them when the epoch begins, so they are put back before the first batch.
    """

    def __init__(self, metrics: list[np.ndarray]):
        super().__init__()
        self.metrics: list[np.ndarray] | None = metrics

    def on_train_batch_begin(self, batch, logs=None):
        if self.metrics is not None:
            for variable, value in zip(metric_variables(self.model), self.metrics, strict=True):
                variable.assign(with_dtype_of(variable, value))
            self.metrics = None


def fit(model, windows, epochs: int, callbacks=(), place: dict[str, Any] | None = None, **arguments: Any) -> None:
    """`model.fit` on windows or pairs: carried states, epochs, averages and checkpoints are taken care of.

    There is one call of `model.fit` for each epoch, so that the first epoch may begin in the middle. A callback sees
    `on_train_begin` and `on_train_end` every epoch. When one sets `model.stop_training`, the epoch is the last.

    Arguments:
        model: a compiled model.
        windows: a `Windows` or `Pairs` object of `keras_rnnkit.data`.
        epochs: the number of epochs in all, those before a checkpoint among them.
        callbacks: callbacks in any order. `CarriedState`, `FollowEpochs` and, where the optimizer keeps averages,
            `AveragedWeights` are added.
        place: what `resume` returned, to continue from there.
        arguments: further arguments of `model.fit`, such as `validation_data`.

    >>> import keras_rnnkit as rk
    >>> windows = rk.data.Windows(np.arange(101) % 5, batch=2, steps=10)
    >>> layers = [keras.layers.Embedding(5, 4), rk.GRU(8, return_sequences=True, stateful=True), keras.layers.Dense(5)]
    >>> model = keras.Sequential([keras.Input((None,), batch_size=2, dtype="int32"), *layers])
    >>> model.compile("adam", rk.training.NextToken())
    >>> fit(model, windows, epochs=2, verbose=0)
    >>> int(model.optimizer.iterations)
    10
    """
    check_prepared(model, "rk.training.fit")
    warn_if_unsynchronized(model)
    build_optimizer(model)
    first, start = (place["epoch"], place["batch"]) if place else (0, 0)
    if start and start >= len(windows):
        raise ValueError(
            f"The place is batch {start} of an epoch of {len(windows)} batches. Give the same windows as before."
        )
    for epoch in range(first, epochs):
        skipped = start if epoch == first else 0
        windows.epoch = epoch
        dataset = windows.dataset(skipped)
        added = [FollowEpochs(windows), *state_callbacks(model, callbacks, resumed=skipped > 0)]
        if skipped and place is not None and place.get("metrics"):
            added.append(ContinuedMetrics(place["metrics"]))
            keras_internals.build_metrics(model, *next(iter(dataset))[:2])
        model.fit(dataset, initial_epoch=epoch, epochs=epoch + 1, callbacks=[*added, *callbacks], **arguments)
        if model.stop_training:
            return


def build_optimizer(model) -> None:
    """Create the variables of the optimizer, where all layers have theirs.

    Keras would create them in the first step, and TensorFlow traces a function that creates variables twice.
    """
    if model.optimizer.built or not all(layer.built for layer in keras_internals.flatten_layers(model)):
        return
    strategy = getattr(model, "distribute_strategy", None)
    with contextlib.nullcontext() if strategy is None else strategy.scope():
        model.optimizer.build(model.trainable_variables)


def state_callbacks(model, callbacks, resumed: bool) -> list[keras.callbacks.Callback]:
    """The callbacks that a model with carried states, or an optimizer with averages, cannot do without."""
    needed: list[keras.callbacks.Callback] = [CarriedState(resumed)] if carries(model) else []
    averages = getattr(applied(model.optimizer), "use_ema", False)
    if averages and not any(isinstance(callback, AveragedWeights) for callback in callbacks):
        needed.append(AveragedWeights())
    return needed

"""Truncated backpropagation through time: states go on from batch to batch, gradients do not.

A stateful layer keeps its states in variables. They are read as plain values, so the gradient of a batch ends where the
batch begins; how many steps that is, is a matter of the data.

Paper: R. Williams and J. Peng, An efficient gradient-based algorithm for on-line training of recurrent network
trajectories, 1990.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import tree

from keras_rnnkit import keras_internals


def carries(model) -> bool:
    """Whether a recurrent layer of the model carries its states from batch to batch."""
    return any(
        isinstance(layer, keras.layers.RNN) and layer.stateful for layer in keras_internals.flatten_layers(model)
    )


def stateful_layers(model) -> list[Any]:
    """The recurrent layers that carry their states, from the inputs on."""
    layers = [
        layer
        for layer in keras_internals.flatten_layers(model)
        if isinstance(layer, keras.layers.RNN) and layer.stateful
    ]
    if not layers:
        raise ValueError(
            f"{model.name!r} has no layer that carries its states. Build its recurrent layers with stateful=True, and "
            "its input with batch_size=."
        )
    return layers


def carried_states(model) -> list[np.ndarray]:
    """The states as they are now."""
    return [
        np.array(keras.ops.convert_to_numpy(v)) for layer in stateful_layers(model) for v in tree.flatten(layer.states)
    ]


def set_states(model, states: list[np.ndarray]) -> None:
    """Put states back that `carried_states` gave."""
    variables = [v for layer in stateful_layers(model) for v in tree.flatten(layer.states)]
    for variable, state in zip(variables, states, strict=True):
        variable.assign(state)


def reset_states(model) -> None:
    """Start anew: zeros, or the states a layer has learned to start from."""
    for layer in stateful_layers(model):
        starts = tree.flatten(layer.get_initial_state(layer.states[0].shape[0]))
        for variable, start in zip(tree.flatten(layer.states), starts, strict=True):
            variable.assign(start)


@contextlib.contextmanager
def other_rows(model, rows: int) -> Iterator[None]:
    """Inside, the model has fresh states for another number of rows; afterwards the ones it had.

    >>> import keras_rnnkit as rk
    >>> model = keras.Sequential([keras.Input((None, 3), batch_size=4), rk.GRU(2, stateful=True)])
    >>> with other_rows(model, 1):
    ...     model.predict(np.ones((1, 5, 3)), verbose=0).shape
    (1, 2)
    >>> model(np.ones((4, 5, 3))).shape
    TensorShape([4, 2])
    """
    layers, functions = stateful_layers(model), ("train_function", "test_function", "predict_function")
    kept = [(layer, layer.states, keras_internals.expected_batch_size(layer)) for layer in layers]
    compiled = {name: getattr(model, name, None) for name in functions}
    try:
        for layer in layers:
            keras_internals.create_states(layer, rows)
        for name in functions:  # they know the old variables
            setattr(model, name, None)
        yield
    finally:
        for layer, states, expected in kept:
            keras_internals.replace_states(layer, states, expected)
        for name, function in compiled.items():
            setattr(model, name, function)


class CarriedState(keras.callbacks.Callback):
    """For `model.fit` on windows that go on from each other: states start anew with every epoch, and a validation
    begins with fresh states and leaves those of training as they were.

    Arguments:
        resumed: do not start the first epoch anew: it goes on from a checkpoint.
    """

    def __init__(self, resumed: bool = False):
        super().__init__()
        self.resumed = resumed
        self._aside: list[np.ndarray] | None = None

    def on_epoch_begin(self, epoch, logs=None):
        if self.resumed:
            self.resumed = False
        else:
            reset_states(self.model)

    def on_test_begin(self, logs=None):
        self._aside = carried_states(self.model)
        reset_states(self.model)

    def on_test_end(self, logs=None):
        if self._aside is not None:
            set_states(self.model, self._aside)


class FollowEpochs(keras.callbacks.Callback):
    """For `model.fit(windows.dataset())`: each epoch has its own windows."""

    def __init__(self, windows):
        super().__init__()
        self.windows = windows

    def on_epoch_begin(self, epoch, logs=None):
        self.windows.epoch = epoch


def fit(model, windows, epochs: int, callbacks=(), place: dict[str, Any] | None = None, **arguments: Any) -> None:
    """`model.fit` on windows, from a place that `resume` gave or from the beginning; carried states go on.

    One call for each epoch, so that the first may begin in the middle; callbacks must bear that. Where one sets
    `model.stop_training`, the epoch is the last.
    """
    first, start = (place["epoch"], place["batch"]) if place else (0, 0)
    if start >= len(windows):
        first, start = first + 1, 0
    for epoch in range(first, epochs):
        skipped = start if epoch == first else 0
        carry = [CarriedState(resumed=skipped > 0)] if carries(model) else []
        own = [FollowEpochs(windows), *carry, *callbacks]
        model.fit(windows.dataset(skipped), initial_epoch=epoch, epochs=epoch + 1, callbacks=own, **arguments)
        if model.stop_training:
            return

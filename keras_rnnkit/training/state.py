"""Truncated backpropagation through time: states are carried from batch to batch, gradients are not.

A stateful layer keeps its states in variables. A batch reads them as plain values, so its gradient ends where the batch
begins. The length of the windows in the data therefore decides how far gradients reach.

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
    return bool(all_stateful_layers(model))


def all_stateful_layers(model) -> list[Any]:
    """The recurrent layers that carry their states, from the inputs on; none in a model without them."""
    layers = keras_internals.flatten_layers(model)
    return [layer for layer in layers if isinstance(layer, keras.layers.RNN) and layer.stateful]


def stateful_layers(model) -> list[Any]:
    """The recurrent layers that carry their states; an error where there is none."""
    layers = all_stateful_layers(model)
    if not layers:
        raise ValueError(
            f"{model.name!r} has no layer that carries its states. Build its recurrent layers with stateful=True, and "
            "its input with batch_size=."
        )
    return layers


def carried_states(model) -> list[np.ndarray]:
    """The carried states of all layers as arrays, from the inputs on; the rows of all devices of this process."""
    return [np.concatenate([as_array(value) for value in on_devices(v)]) for v in state_variables(model)]


def as_array(variable) -> np.ndarray:
    """The value of a variable as an array, which a strategy of `tf.distribute` may keep on many devices."""
    value = variable.value if isinstance(variable, keras.Variable) else variable
    return np.array(keras.ops.convert_to_numpy(keras.ops.copy(value)))


def on_devices(variable) -> list[Any]:
    """The variable of each device of this process: several under a strategy of `tf.distribute`, otherwise itself."""
    values = getattr(variable.value, "values", None)
    return list(values) if isinstance(values, tuple) else [variable]


def state_variables(model) -> list[Any]:
    """The variables that hold the carried states."""
    return [variable for layer in stateful_layers(model) for variable in tree.flatten(layer.states)]


def set_states(model, states: list[np.ndarray]) -> None:
    """Put back the states that `carried_states` returned."""
    for variable, state in zip(state_variables(model), states, strict=True):
        devices = on_devices(variable)
        for value, rows in zip(devices, np.split(state, len(devices)), strict=True):
            value.assign(rows)


def reset_states(model) -> None:
    """Set the carried states to where a sequence starts: zeros, or the initial states that a layer has learned."""
    for layer in stateful_layers(model):
        starts = tree.flatten(layer.get_initial_state(layer.states[0].shape[0]))
        for variable, start in zip(tree.flatten(layer.states), starts, strict=True):
            variable.assign(start)


@contextlib.contextmanager
def other_rows(model, rows: int) -> Iterator[None]:
    """Inside, the model has new states for another number of rows; afterwards it has those from before.

    Arguments:
        model: a model that carries states.
        rows: the batch size inside.

    >>> import keras_rnnkit as rk
    >>> model = keras.Sequential([keras.Input((None, 3), batch_size=4), rk.GRU(2, stateful=True)])
    >>> with other_rows(model, 1):
    ...     model.predict(np.ones((1, 5, 3)), verbose=0).shape
    (1, 2)
    >>> model(np.ones((4, 5, 3))).shape
    TensorShape([4, 2])
    """
    layers, functions = stateful_layers(model), ("train_function", "test_function", "predict_function")
    previous = [(layer, layer.states, keras_internals.expected_batch_size(layer)) for layer in layers]
    compiled = {name: getattr(model, name, None) for name in functions}
    try:
        for layer in layers:
            keras_internals.create_states(layer, rows)
        for name in functions:  # they hold the variables of before
            setattr(model, name, None)
        yield
    finally:
        for layer, states, expected in previous:
            keras_internals.replace_states(layer, states, expected)
        for name, function in compiled.items():
            setattr(model, name, function)


class CarriedState(keras.callbacks.Callback):
    """For `model.fit` on windows that continue each other.

    States start again with every epoch. A validation begins with new states and leaves those of training as they were.
    `keras_rnnkit.training.fit` adds this callback itself.

    Arguments:
        resumed: whether the first epoch continues from a checkpoint, so that its states must stay.
    """

    def __init__(self, resumed: bool = False):
        super().__init__()
        self.resumed = resumed
        self._training_states: list[np.ndarray] | None = None

    def on_epoch_begin(self, epoch, logs=None):
        if self.resumed:
            self.resumed = False
        else:
            reset_states(self.model)

    def on_test_begin(self, logs=None):
        self._training_states = carried_states(self.model)
        reset_states(self.model)

    def on_test_end(self, logs=None):
        if self._training_states is not None:
            set_states(self.model, self._training_states)

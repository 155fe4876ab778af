"""The slopes of activation functions, from their outputs: what written-out backward formulas need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from keras_rnnkit.ops import activations


def _hard_sigmoid(ops, y):
    """1/6 where the function rises. Its value shows where it is flat, because it is exactly 0 or 1 there."""
    return ops.where((y > 0.0) & (y < 1.0), ops.zeros_like(y) + 1.0 / 6.0, ops.zeros_like(y))


SLOPES: dict[str, Callable[[Any, Any], Any]] = {
    "linear": lambda ops, y: ops.zeros_like(y) + 1.0,
    "tanh": lambda ops, y: 1.0 - y * y,
    "sigmoid": lambda ops, y: y * (1.0 - y),
    "relu": lambda ops, y: ops.where(y > 0.0, ops.zeros_like(y) + 1.0, ops.zeros_like(y)),
    "hard_sigmoid": _hard_sigmoid,
    "softsign": lambda ops, y: (1.0 - ops.abs(y)) * (1.0 - ops.abs(y)),
}


def has_slope(function) -> bool:
    """Whether the slope of this function is known. A user's own function may have the name of one of Keras'."""
    name = activations.name(function)
    return name in SLOPES and function is getattr(keras.activations, name)


def slope(ops, function, y):
    """The derivative of an activation function at the point where its value is y.

    >>> import numpy as np
    >>> from keras_rnnkit.ops import numpy as nops
    >>> slope(nops, "tanh", np.tanh(np.array([0.0, 1.0]))).round(3)
    array([1.  , 0.42])
    """
    return SLOPES[activations.name(function)](ops, y)

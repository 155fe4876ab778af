"""Keras' activation functions as equations over the vocabulary, for the readings that cannot call Keras.

Each takes `(ops, x)`. `equation` raises for a function that is not in the table. No equation may overflow for large
inputs: softplus, for example, never computes exp of a positive number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

SELU_SCALE = 1.0507009873554805
SELU_ALPHA = 1.6732632423543772
RSQRT_2 = 0.7071067811865476
GELU_TANH = 0.7978845608028654


def _clip(ops, x, low, high):
    return ops.minimum(ops.maximum(x, low), high)


def _softplus(ops, x):
    return ops.maximum(x, 0.0) + ops.log(1.0 + ops.exp(-ops.abs(x)))


def _elu(ops, x):
    return ops.where(x > 0.0, x, ops.exp(ops.minimum(x, 0.0)) - 1.0)


def _selu(ops, x):
    return SELU_SCALE * ops.where(x > 0.0, x, SELU_ALPHA * (ops.exp(ops.minimum(x, 0.0)) - 1.0))


def _hard_sigmoid(ops, x):
    return _clip(ops, x * (1.0 / 6.0) + 0.5, 0.0, 1.0)


def _gelu(ops, x):
    return 0.5 * x * (1.0 + ops.erf(x * RSQRT_2))


def _softmax(ops, x):
    e = ops.exp(x - ops.max(x, axis=-1, keepdims=True))
    return e / ops.sum(e, axis=-1, keepdims=True)


def _log_softmax(ops, x):
    shifted = x - ops.max(x, axis=-1, keepdims=True)
    return shifted - ops.log(ops.sum(ops.exp(shifted), axis=-1, keepdims=True))


EQUATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "linear": lambda ops, x: x,
    "tanh": lambda ops, x: ops.tanh(x),
    "sigmoid": lambda ops, x: ops.sigmoid(x),
    "hard_sigmoid": _hard_sigmoid,
    "relu": lambda ops, x: ops.maximum(x, 0.0),
    "relu6": lambda ops, x: _clip(ops, x, 0.0, 6.0),
    "leaky_relu": lambda ops, x: ops.maximum(x, 0.0) + 0.2 * ops.minimum(x, 0.0),
    "elu": _elu,
    "selu": _selu,
    "gelu": _gelu,
    "silu": lambda ops, x: x * ops.sigmoid(x),
    "hard_silu": lambda ops, x: x * _hard_sigmoid(ops, x),
    "mish": lambda ops, x: x * ops.tanh(_softplus(ops, x)),
    "softplus": _softplus,
    "softsign": lambda ops, x: x / (1.0 + ops.abs(x)),
    "exponential": lambda ops, x: ops.exp(x),
    "hard_tanh": lambda ops, x: _clip(ops, x, -1.0, 1.0),
    "softmax": _softmax,
    "log_softmax": _log_softmax,
}


def name(function: Callable | str | None) -> str:
    """The name of an activation as Keras gives it; `None` is Keras' linear."""
    if function is None:
        return "linear"
    return function if isinstance(function, str) else getattr(function, "__name__", type(function).__name__)


def equation(function: Callable | str | None) -> Callable[[Any, Any], Any]:
    """The equation `(ops, x) -> y` of a Keras activation.

    >>> equation("relu6").__name__
    '<lambda>'
    >>> equation("swoosh")
    Traceback (most recent call last):
    ...
    ValueError: The activation 'swoosh' has no equation outside Keras. Known are ...
    """
    try:
        return EQUATIONS[name(function)]
    except KeyError:
        raise ValueError(
            f"The activation {name(function)!r} has no equation outside Keras. Known are {', '.join(EQUATIONS)}; "
            "add yours with keras_rnnkit.ops.activations.EQUATIONS['name'] = lambda ops, x: ..."
        ) from None

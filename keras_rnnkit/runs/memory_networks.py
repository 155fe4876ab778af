"""The networks whose gradients are studied, and the ways in which they may begin."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

import keras_rnnkit as rk

Build = Callable[[int, int], list[Any]]
"""The recurrent layers, from the bottom up, of a number of units, for sequences of about so many steps."""


def biases(forget: Any, other: Any = 0.0) -> Callable[..., Any]:
    """An initializer for the biases of an LSTM, whose gates are i, f, g, o.

    Arguments:
        forget: that of the forget gate, a number or one for each unit.
        other: that of the input gate.
    """

    def initial(shape, dtype=None):
        units = shape[0] // 4
        i, f = np.broadcast_to(other, units), np.broadcast_to(forget, units)
        return keras.ops.convert_to_tensor(np.concatenate([i, f, np.zeros(2 * units)]).astype("float32"))

    return initial


def chrono(units: int, steps: int) -> Callable[..., Any]:
    """Biases by which the units of an LSTM remember for 1 to T steps.

    Paper: C. Tallec and Y. Ollivier, Can recurrent neural networks warp time?, 2018.
    """
    forget = np.log(np.random.default_rng(0).uniform(1, steps - 1, units))
    return biases(forget, -forget)


def lstm(units: int, **arguments: Any) -> Any:
    """An LSTM whose biases are given; Keras' own forget bias is 1."""
    return rk.LSTM(units, return_sequences=True, unit_forget_bias=False, **arguments)


def vanilla(units: int, initializer: Any, activation: str = "tanh") -> Any:
    """A vanilla network with a recurrent matrix of its own."""
    return rk.VanillaRNN(units, activation, recurrent_initializer=initializer, return_sequences=True)


def residual_stack(units: int, layers: int = 2) -> list[Any]:
    """GRU layers with a way around each but the first, which widens its input."""
    first = rk.GRU(units, return_sequences=True)
    return [first, *(rk.Residual(rk.GRU(units, return_sequences=True)) for _ in range(layers - 1))]


NETWORKS: dict[str, Build] = {
    "linear": lambda units, steps: [vanilla(units, "orthogonal", "linear")],
    "tanh": lambda units, steps: [vanilla(units, "orthogonal")],
    "relu": lambda units, steps: [vanilla(units, "identity", "relu")],
    "lstm": lambda units, steps: [lstm(units, bias_initializer=chrono(units, steps))],
    "gru": lambda units, steps: [rk.GRU(units, return_sequences=True)],
    "layernorm_lstm": lambda units, steps: [rk.Recurrent(rk.cells.LayerNormLSTMCell(units), return_sequences=True)],
    "residual": lambda units, steps: residual_stack(units),
}
"""The networks that are compared, by name.

linear: no activation, an orthogonal recurrent matrix (M. Henaff, Recurrent orthogonal networks, 2016).
tanh: the vanilla network of Keras. relu: with the identity as its recurrent matrix (Le 2015). lstm: with biases for a
memory of 1 to T steps. gru: as Keras begins it. residual: two GRU layers, the second with a way around it.
"""

STARTS: dict[str, Build] = {
    "LSTM, forget bias 0": lambda units, steps: [lstm(units, bias_initializer=biases(0.0))],
    "LSTM, forget bias 1": lambda units, steps: [lstm(units, bias_initializer=biases(1.0))],
    "LSTM, forget bias 4": lambda units, steps: [lstm(units, bias_initializer=biases(4.0))],
    "LSTM, biases for 1 to T steps": lambda units, steps: [lstm(units, bias_initializer=chrono(units, steps))],
    "tanh, random normal": lambda units, steps: [
        vanilla(units, keras.initializers.RandomNormal(stddev=0.5 / math.sqrt(units), seed=1))
    ],
    "tanh, orthogonal": lambda units, steps: [vanilla(units, "orthogonal")],
}
"""The same networks with other first weights."""

"""Hochreiter and Schmidhuber (1997), with the forget gate of Gers (2000) and the projection of Sak (2014)."""

import numpy as np
import pytest

import keras_rnnkit as rk
from tests.cells.golden import Case, U, columns, every_precision, sigmoid


def lstm(w, x, h, c, gate=sigmoid, activation=np.tanh):
    def before(position):
        bias = columns(w["bias"], position) if "bias" in w else 0.0
        return x @ columns(w["kernel"], position) + h @ columns(w["recurrent_kernel"], position) + bias

    i, f, o = gate(before(0)), gate(before(1)), gate(before(3))
    c = f * c + i * activation(before(2))
    h = o * activation(c)
    h = h @ w["projection_kernel"] if "projection_kernel" in w else h
    return h, [h, c]


@every_precision
@pytest.mark.parametrize("arguments", [{}, {"use_bias": False}, {"projection": 2}])
def test_the_papers_equation(arguments, dtype):
    Case(rk.cells.LSTMCell(U, **arguments, dtype=dtype), dtype).check(lstm)


@every_precision
def test_other_activations(dtype):
    def hard_sigmoid(x):
        return np.clip(x / 6 + 0.5, 0, 1)

    def softsign(x):
        return x / (1 + np.abs(x))

    cell = rk.cells.LSTMCell(U, activation="softsign", recurrent_activation="hard_sigmoid", dtype=dtype)
    Case(cell, dtype).check(lambda w, x, h, c: lstm(w, x, h, c, gate=hard_sigmoid, activation=softsign))

"""Greff (2015), CIFG: an LSTM whose input gate is one minus its forget gate."""

import numpy as np
import pytest

import keras_rnnkit as rk
from tests.cells.golden import Case, U, columns, every_precision, sigmoid


def coupled(w, x, h, c):
    def before(position):
        bias = columns(w["bias"], position)
        return x @ columns(w["kernel"], position) + h @ columns(w["recurrent_kernel"], position) + bias

    f, g, o = sigmoid(before(0)), np.tanh(before(1)), sigmoid(before(2))
    c = f * c + (1 - f) * g
    h = o * np.tanh(c)
    h = h @ w["projection_kernel"] if "projection_kernel" in w else h
    return h, [h, c]


@every_precision
@pytest.mark.parametrize("arguments", [{}, {"projection": 2}])
def test_the_papers_equation(arguments, dtype):
    Case(rk.cells.CoupledLSTMCell(U, **arguments, dtype=dtype), dtype).check(coupled)

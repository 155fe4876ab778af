"""Gers, Schraudolph and Schmidhuber (2002): gates i and f read c_{t-1}, gate o reads c_t."""

import numpy as np
import pytest

import keras_rnnkit as rk
from tests.cells.golden import Case, U, columns, every_precision, sigmoid


def peephole(w, x, h, c):
    p_i, p_f, p_o = w["peephole_kernel"]

    def before(position):
        bias = columns(w["bias"], position)
        return x @ columns(w["kernel"], position) + h @ columns(w["recurrent_kernel"], position) + bias

    i = sigmoid(before(0) + p_i * c)
    f = sigmoid(before(1) + p_f * c)
    c = f * c + i * np.tanh(before(2))
    o = sigmoid(before(3) + p_o * c)
    h = o * np.tanh(c)
    h = h @ w["projection_kernel"] if "projection_kernel" in w else h
    return h, [h, c]


@every_precision
@pytest.mark.parametrize("arguments", [{}, {"projection": 2}])
def test_the_papers_equation(arguments, dtype):
    Case(rk.cells.PeepholeLSTMCell(U, **arguments, dtype=dtype), dtype).check(peephole)


def test_without_peepholes_it_starts_as_an_lstm():
    """The peephole weights start at zero."""
    cell = rk.cells.PeepholeLSTMCell(U)
    cell.build((None, 3))
    assert not np.asarray(cell.peephole_kernel).any()

"""Feng (2024), minLSTM: an LSTM whose gates and candidate do not read the state."""

import numpy as np

import keras_rnnkit as rk
from tests.cells.golden import Case, U, columns, every_precision, sigmoid


def min_lstm(w, x, h):
    f, i, g = (x @ columns(w["kernel"], n) + columns(w["bias"], n) for n in range(3))
    f, i = sigmoid(f), sigmoid(i)
    h = f / (f + i) * h + i / (f + i) * g
    return h, [h]


@every_precision
def test_the_papers_equation(dtype):
    Case(rk.cells.MinLSTMCell(U, dtype=dtype), dtype).check(min_lstm)


def test_two_closed_gates_share_equally():
    """At -200 both gates are zero in float32 and their quotient is not a number; they are equal, so each is a half."""
    cell = rk.cells.MinLSTMCell(1)
    cell.build((None, 1))
    cell.kernel.assign([[-200.0, -200.0, 3.0]])
    y, _ = cell(np.ones((1, 1), "float32"), [np.full((1, 1), 5.0, "float32")])
    np.testing.assert_allclose(np.array(y), [[4.0]], atol=1e-6)

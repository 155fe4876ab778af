"""Lei (2018), SRU: gates that read the memory unit by unit, and a highway from the input."""

import numpy as np
import pytest

import keras_rnnkit as rk
from tests.cells.golden import Case, D, U, columns, every_precision, sigmoid


def sru(width, scale):
    def equation(w, x, c):
        gates = [x @ w["kernel"][:, n * width : (n + 1) * width] for n in range(w["kernel"].shape[1] // width)]
        v_f, v_q = w.get("state_kernel", np.zeros((2, width)))
        b_f, b_q = w["bias"][:width], w["bias"][width:]
        f = sigmoid(gates[1] + v_f * c + b_f)
        q = sigmoid(gates[2] + v_q * c + b_q)
        c = f * c + (1 - f) * gates[0]
        highway = gates[3] if len(gates) == 4 else x
        return q * c + (1 - q) * scale * highway, [c]

    return equation


@every_precision
@pytest.mark.parametrize("state_gates", [True, False])
def test_the_papers_equation(state_gates, dtype):
    """U is not D, so the highway has a matrix of its own; and where it is, the input passes as it is."""
    assert U != D
    for width in (U, D):
        cell = rk.cells.SRUCell(width, state_gates=state_gates, dtype=dtype)
        Case(cell, dtype).check(sru(width, np.sqrt(3.0)))


def test_the_highway_bias_sets_the_start_and_the_scale():
    cell = rk.cells.SRUCell(D, highway_bias=-2.0)
    cell.build((None, D))
    assert np.array(cell.bias).tolist() == [0.0] * D + [-2.0] * D
    Case(rk.cells.SRUCell(D, highway_bias=-2.0)).check(sru(D, np.sqrt(1 + 2 * np.exp(-2.0))))


def test_columns_are_those_of_the_docstring():
    """g, f, q: a cell with the kernel of g alone remembers a share of it."""
    assert columns(np.arange(3 * U)[None], 1).tolist() == [list(range(U, 2 * U))]

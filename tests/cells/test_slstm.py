"""Beck (2024), sLSTM: exponential gates, a normaliser, and groups of units that read each other."""

import numpy as np
import pytest

import keras_rnnkit as rk
from tests.cells.golden import Case, every_precision, sigmoid

U = 4


def slstm(forget, heads):
    """The paper's equations 8 to 14, without the stabiliser: states are compared as h, c exp(m), n exp(m)."""

    def equation(w, x, h, c, n):
        size = U // heads
        kernel = np.zeros((U, 4 * U))
        for k in range(heads):
            block = w["recurrent_kernel"] if heads == 1 else w["recurrent_kernel"][k]
            for gate in range(4):
                rows = slice(k * size, (k + 1) * size)
                kernel[rows, gate * U + k * size : gate * U + (k + 1) * size] = block[
                    :, gate * size : (gate + 1) * size
                ]
        i, f, g, o = np.split(x @ w["kernel"] + h @ kernel + w["bias"], 4, axis=1)
        i, f, g, o = np.exp(i), forget(f), np.tanh(g), sigmoid(o)
        c, n = f * c + i * g, f * n + i
        return o * c / n, c, n

    return equation


@every_precision
@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("gate", ["sigmoid", "exponential"])
def test_the_papers_equation(gate, heads, dtype):
    case = Case(rk.cells.SLSTMCell(U, forget_gate=gate, heads=heads, dtype=dtype), dtype)
    case.states = [np.zeros_like(state) for state in case.states]
    outputs, *_ = case.run()
    equation = slstm({"sigmoid": sigmoid, "exponential": np.exp}[gate], heads)
    h, c, n = (np.zeros((case.x.shape[0], U)) for _ in range(3))
    for t in range(case.x.shape[1]):
        h, c, n = equation(case.w, case.x[:, t], h, c, n)
        tolerance = {"float32": 1e-5, "float16": 6e-3, "bfloat16": 5e-2}[dtype]
        np.testing.assert_allclose(outputs[:, t], h, rtol=tolerance, atol=tolerance)


def test_it_goes_on_from_its_states(rng):
    layer = rk.Recurrent(rk.cells.SLSTMCell(U), return_sequences=True, return_state=True)
    x = rng.normal(size=(2, 9, 3)).astype("float32")
    whole = layer(x)[0]
    first, *states = layer(x[:, :4])
    second = layer(x[:, 4:], initial_state=states)[0]
    np.testing.assert_allclose(np.concatenate([first, second], axis=1), whole, atol=1e-6)


def test_exponents_of_thousands_do_not_overflow():
    """exp(1000) is infinite; the quotient of the memory and its normaliser is not."""
    cell = rk.cells.SLSTMCell(1, forget_gate="exponential")
    cell.build((None, 1))
    cell.kernel.assign([[1000.0, 900.0, 2.0, 50.0]])
    cell.recurrent_kernel.assign(np.zeros((1, 4)))
    layer = rk.Recurrent(cell, return_sequences=True)
    y = np.array(layer(np.array([[[1.0], [-1.0], [1.0]]], "float32")))
    assert np.isfinite(y).all()
    np.testing.assert_allclose(y[0, [0, 2], 0], np.tanh([2.0, 2.0]), atol=1e-5)


def test_settings_that_cannot_be():
    with pytest.raises(ValueError, match="`heads` must divide `units`. Received: heads=2, units=5"):
        rk.cells.SLSTMCell(5, heads=2)
    with pytest.raises(ValueError, match="forget_gate='tanh'"):
        rk.cells.SLSTMCell(5, forget_gate="tanh")

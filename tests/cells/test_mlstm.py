"""Beck (2024), mLSTM: exponential gates over a matrix memory, as the paper writes it, without the stabiliser."""

import numpy as np
import pytest

import keras_rnnkit as rk
from tests.cells.golden import TOLERANCE, Case, columns, every_precision, sigmoid

U = 4


def step(w, x, C, n, heads, forget):
    """Equations 19 to 27 for one row: x [D], and a list of C [P, P] and of n [P] for the heads."""
    P = U // heads
    z = x @ w["kernel"] + w["bias"]
    q, k, v, o = (columns(z, i, U) for i in range(4))
    i, f = np.exp(z[4 * U : 4 * U + heads]), forget(z[4 * U + heads :])
    outputs, new_C, new_n = [], [], []
    for h in range(heads):
        one = slice(h * P, (h + 1) * P)
        key = k[one] / np.sqrt(P)
        new_C.append(f[h] * C[h] + i[h] * np.outer(v[one], key))
        new_n.append(f[h] * n[h] + i[h] * key)
        outputs.append(new_C[h] @ q[one] / max(abs(new_n[h] @ q[one]), 1.0))
    return sigmoid(o) * np.concatenate(outputs), new_C, new_n


@every_precision
@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("gate", ["sigmoid", "exponential"])
def test_the_papers_equation(gate, heads, dtype):
    """From first states that are not zero: the paper's C and n are the cell's times exp(m)."""
    case = Case(rk.cells.MLSTMCell(U, heads=heads, forget_gate=gate, dtype=dtype), dtype)
    forget, P = {"sigmoid": sigmoid, "exponential": np.exp}[gate], U // heads
    found, stepped = case.run(), case.stepped()
    for row in range(case.x.shape[0]):
        C, n, m = (state[row] for state in case.states)
        C = [c * np.exp(e) for c, e in zip(C.reshape(heads, P, P), m, strict=True)]
        n = [a * np.exp(e) for a, e in zip(n.reshape(heads, P), m, strict=True)]
        for t in range(case.x.shape[1]):
            y, C, n = step(case.w, case.x[row, t], C, n, heads, forget)
            for outputs in (found, stepped):
                np.testing.assert_allclose(outputs[0][row, t], y, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
        for _, last_C, last_n, last_m in (found, stepped):
            scale = np.exp(last_m[row])[:, None]
            of_C, of_n = scale[..., None] * last_C[row].reshape(heads, P, P), scale * last_n[row].reshape(heads, P)
            largest = max(np.abs(C).max(), np.abs(n).max())
            np.testing.assert_allclose(of_C, C, atol=TOLERANCE[dtype] * largest)
            np.testing.assert_allclose(of_n, n, atol=TOLERANCE[dtype] * largest)


@pytest.mark.parametrize("kernel", ["parallel", "hoisted"])
def test_exponents_of_thousands_do_not_overflow(kernel):
    """exp(1000) is infinite and exp(-1000) zero; what was written last outweighs or is outweighed by all before it."""
    cell = rk.cells.MLSTMCell(1, heads=1, forget_gate="exponential", output_gate=False)
    layer = rk.Recurrent(cell, return_sequences=True, kernel=kernel)
    layer.build((None, None, 2))
    cell.kernel.assign([[0.0, 0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1000.0, 0.0]])  # v is x_0, log i is 1000 x_1
    cell.bias.assign([1.0, 1.0, 0.0, 0.0, 0.0])
    y = np.array(layer(np.array([[[3.0, -1.0], [2.0, 1.0], [5.0, -1.0], [4.0, 1.0]]], "float32"), training=True))
    np.testing.assert_allclose(y[0, :, 0], [0.0, 2.0, 2.0, 3.0], atol=1e-5)


def test_the_forget_gates_start_open():
    cell = rk.cells.MLSTMCell(8, heads=4)
    cell.build((None, 3))
    np.testing.assert_allclose(np.array(cell.bias), [0.0] * 36 + [3.0, 4.0, 5.0, 6.0])


def test_a_subclass_with_other_gates_is_not_computed_in_chunks():
    class Other(rk.cells.MLSTMCell):
        def gates(self, ops, w, z, r, state):
            y, state = super().gates(ops, w, z, r, state)
            return 2.0 * y, state

    assert rk.Recurrent(rk.cells.MLSTMCell(4)).runs_on() == "parallel"
    assert rk.Recurrent(Other(4)).runs_on() == "hoisted"
    with pytest.raises(ValueError, match="Other has gates of its own"):
        rk.Recurrent(Other(4), kernel="parallel").runs_on()


def test_what_runs_it_is_explained():
    (row,) = rk.explain(rk.Recurrent(rk.cells.MLSTMCell(4)), print_fn=None)
    assert row.kernel == "parallel" and "in chunks of 64 steps" in row.reason
    assert rk.Recurrent(rk.cells.MLSTMCell(4)).runs_on(resets=True) == "hoisted"


def test_settings_that_cannot_be():
    with pytest.raises(ValueError, match="`heads` must divide `units`. Received: heads=2, units=5"):
        rk.cells.MLSTMCell(5, heads=2)
    with pytest.raises(ValueError, match="forget_gate='tanh'"):
        rk.cells.MLSTMCell(4, forget_gate="tanh")

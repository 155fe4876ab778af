"""De (2024), Griffin's RG-LRU: each unit remembers its input for a time that the input chooses."""

import numpy as np

import keras_rnnkit as rk
from tests.cells.golden import Case, D, U, every_precision, sigmoid


def rg_lru(w, x, h):
    q = sigmoid(x @ w["kernel"][:, :D] + w["bias"][:D])
    i = sigmoid(x @ w["kernel"][:, D:] + w["bias"][D:])
    a = sigmoid(w["decay"]) ** (8 * q)
    h = a * h + np.sqrt(1 - a**2) * (i * x)
    return h, [h]


@every_precision
def test_the_papers_equation(dtype):
    Case(rk.cells.RGLRUCell(D, dtype=dtype), dtype).check(rg_lru)


def test_a_nearly_closed_gate_loses_no_digits():
    """a is one within float32's last digit; 1 - a^2 would be 0 or 1.2e-7, and is 2e-8."""
    cell = rk.cells.RGLRUCell(1)
    cell.build((None, 1))
    cell.kernel.assign([[0.0, 0.0]])
    cell.bias.assign([-14.0, 0.0])
    cell.decay.assign([7.0])
    y, _ = cell(np.ones((1, 1), "float32"), [np.zeros((1, 1), "float32")])
    a = np.float64(sigmoid(np.float64(7.0))) ** (8 * np.float64(sigmoid(np.float64(-14.0))))
    np.testing.assert_allclose(np.array(y), [[np.sqrt(1 - a**2) * 0.5]], rtol=1e-4)


def test_rates_start_between_the_papers_bounds():
    cell = rk.cells.RGLRUCell(500, seed=2)
    cell.build((None, 500))
    a = sigmoid(np.array(cell.decay))
    assert 0.9 <= a.min() < 0.91 and 0.99 < a.max() <= 0.9991


def test_an_input_of_another_width_is_projected():
    def with_projection(w, x, h):
        q, i, x = np.split(x @ w["kernel"] + w["bias"], 3, axis=-1)
        a = sigmoid(w["decay"]) ** (8 * sigmoid(q))
        h = a * h + np.sqrt(1 - a**2) * (sigmoid(i) * x)
        return h, [h]

    Case(rk.cells.RGLRUCell(U)).check(with_projection)

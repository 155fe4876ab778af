"""Orvieto (2023), LRU: complex numbers that turn and decay at a rate of their own."""

import numpy as np
import pytest

import keras_rnnkit as rk
from tests.cells.golden import TOLERANCE, Case, D, U, every_precision

S = 4


def lru(w, x, s):
    """The paper's equation, in NumPy's complex numbers."""
    size = s.shape[1] // 2
    rate = np.exp(-np.exp(w["nu_log"]) + 1j * np.exp(w["theta_log"]))
    b = w["kernel"][:, :size] + 1j * w["kernel"][:, size:]
    c = w["output_kernel"][:size] - 1j * w["output_kernel"][size:]
    state = rate * (s[:, :size] + 1j * s[:, size:]) + np.exp(w["gamma_log"]) * (x @ b)
    skipped = x * w["skip"] if "skip" in w else x @ w["skip_kernel"]
    return (state @ c).real + skipped, [np.concatenate([state.real, state.imag], axis=1)]


@every_precision
@pytest.mark.parametrize("units", [U, D])
def test_the_papers_equation(units, dtype):
    magnitude = 4  # of the outputs, sums over all states
    Case(rk.cells.LRUCell(units, state_units=S, dtype=dtype), dtype).check(lru, magnitude * TOLERANCE[dtype])


def test_rates_start_in_the_ring_and_inputs_are_normalised():
    cell = rk.cells.LRUCell(U, state_units=2000, min_radius=0.4, max_radius=0.9, max_phase=0.3, seed=1)
    cell.build((None, D))
    radius, phase = np.exp(-np.exp(np.array(cell.nu_log))), np.exp(np.array(cell.theta_log))
    assert 0.4 <= radius.min() < 0.42 and 0.88 < radius.max() <= 0.9 + 1e-6
    assert np.mean(radius**2) == pytest.approx((0.4**2 + 0.9**2) / 2, abs=0.01)  # even over the ring's area
    assert 0.29 < phase.max() <= 0.3
    assert abs(np.corrcoef(radius**2, phase)[0, 1]) < 0.1  # drawn one after the other, not from one seed twice
    np.testing.assert_allclose(np.exp(np.array(cell.gamma_log)), np.sqrt(1 - radius**2), rtol=1e-4)


def test_settings_that_cannot_be():
    with pytest.raises(ValueError, match="must be below"):
        rk.cells.LRUCell(3, min_radius=0.9, max_radius=0.9)
    with pytest.raises(ValueError, match="no bias"):
        rk.cells.LRUCell(3, use_bias=True)

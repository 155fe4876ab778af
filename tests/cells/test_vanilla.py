"""Elman (1990): h_t = tanh(W_xh x_t + W_hh h_{t-1} + b)."""

import numpy as np

import keras_rnnkit as rk
from tests.cells.golden import Case, U, every_precision


@every_precision
def test_the_papers_equation(dtype):
    def equation(w, x, h):
        h = np.tanh(x @ w["kernel"] + h @ w["recurrent_kernel"] + w["bias"])
        return h, [h]

    Case(rk.cells.VanillaCell(U, dtype=dtype), dtype).check(equation)


@every_precision
def test_relu_without_bias(dtype):
    def equation(w, x, h):
        h = np.maximum(x @ w["kernel"] + h @ w["recurrent_kernel"], 0.0)
        return h, [h]

    cell = rk.cells.VanillaCell(U, activation="relu", use_bias=False, dtype=dtype)
    Case(cell, dtype).check(equation, tolerance={"float32": 1e-5, "float16": 2e-2, "bfloat16": 2e-1}[dtype])


def test_an_identity_start_hands_the_state_on():
    """Le, Jaitly and Hinton (2015): before training a relu network without input repeats its state."""
    cell = rk.cells.VanillaCell(3, activation="relu", recurrent_initializer="identity")
    state = np.array([[0.5, 2.0, 0.0]], "float32")
    cell.build((None, 2))
    y, _ = cell(np.zeros((1, 2), "float32"), [state])
    np.testing.assert_array_equal(y, state)

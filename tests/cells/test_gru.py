"""Cho (2014): the gated recurrent unit, with the reset after the recurrent product and before it."""

import numpy as np
import pytest

import keras_rnnkit as rk
from tests.cells.golden import Case, U, columns, every_precision, sigmoid


def reset_after(w, x, h):
    input_bias, recurrent_bias = w.get("bias", np.zeros((2, 3 * U)))

    def products(position):
        from_input = x @ columns(w["kernel"], position) + columns(input_bias, position)
        from_state = h @ columns(w["recurrent_kernel"], position) + columns(recurrent_bias, position)
        return from_input, from_state

    z, r = sigmoid(sum(products(0))), sigmoid(sum(products(1)))
    from_input, from_state = products(2)
    candidate = np.tanh(from_input + r * from_state)
    h = z * h + (1 - z) * candidate
    return h, [h]


def reset_before(w, x, h):
    bias = w.get("bias", np.zeros(3 * U))

    def before(position, state):
        return (
            x @ columns(w["kernel"], position)
            + state @ columns(w["recurrent_kernel"], position)
            + columns(bias, position)
        )

    z, r = sigmoid(before(0, h)), sigmoid(before(1, h))
    h = z * h + (1 - z) * np.tanh(before(2, r * h))
    return h, [h]


@every_precision
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("equation", [reset_after, reset_before])
def test_the_papers_equation(equation, use_bias, dtype):
    cell = rk.cells.GRUCell(U, reset_after=equation is reset_after, use_bias=use_bias, dtype=dtype)
    Case(cell, dtype).check(equation)


@every_precision
def test_other_activations(dtype):
    """With linear gates and a relu candidate, each in its place."""

    def equation(w, x, h):
        z, r, k = (x @ columns(w["kernel"], i) + w["bias"][0, i * U : (i + 1) * U] for i in range(3))
        u_z, u_r, u_k = (h @ columns(w["recurrent_kernel"], i) + w["bias"][1, i * U : (i + 1) * U] for i in range(3))
        z, r = np.tanh(z + u_z), np.tanh(r + u_r)
        h = z * h + (1 - z) * np.maximum(k + r * u_k, 0)
        return h, [h]

    cell = rk.cells.GRUCell(U, activation="relu", recurrent_activation="tanh", dtype=dtype)
    tolerance = {"float32": 1e-4, "float16": 5e-2, "bfloat16": 5e-1}[dtype]
    Case(cell, dtype).check(equation, tolerance=tolerance)

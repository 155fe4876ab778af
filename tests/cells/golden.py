"""What the tests of single cells share: random weights, and a run over some steps in each precision.

The expected numbers are computed inside each test, from the paper's equation in plain NumPy and float64. None of them
goes through `keras_rnnkit.ops`, so an error in a cell's equation cannot hide by being in every reading of it.
"""

import keras
import numpy as np
import pytest

import keras_rnnkit as rk

B, T, D, U = 3, 4, 3, 5
"""Rows, steps, features and units: all that could be confused differ in size or are told apart by values."""

TOLERANCE = {"float32": 1e-5, "float16": 6e-3, "bfloat16": 5e-2}
"""For values of about one after four steps."""

every_precision = pytest.mark.parametrize("dtype", TOLERANCE)


def array(x):
    """A tensor or variable as float64."""
    return keras.ops.convert_to_numpy(keras.ops.cast(x, "float32")).astype("float64")


def rounded(x, dtype):
    """x as it is in `dtype`, so that the expected numbers start from the numbers that the cell sees."""
    return array(keras.ops.cast(keras.ops.convert_to_tensor(x), dtype))


class Case:
    """A layer around a cell with random weights that are all different, inputs, and first states that are not zero."""

    def __init__(self, cell, dtype="float32", seed=3, batch=B):
        rng = np.random.default_rng(seed)
        self.dtype, self.cell = dtype, cell
        self.layer = rk.Recurrent(cell, return_sequences=True, return_state=True, dtype=dtype)
        self.layer.build((None, None, D))
        for variable in self.layer.weights:
            values = rng.normal(size=variable.shape) * 0.6
            variable.assign(np.abs(values) + 0.5 if "variance" in variable.name else values)
        self.w = {variable.path.split("/")[-1]: array(variable) for variable in self.layer.weights}
        self.x = rounded(rng.normal(size=(batch, T, D)), dtype)
        self.states = [rounded(rng.normal(size=(batch, size)), dtype) for size in cell.state_sizes]

    def run(self, **flags):
        """Outputs [B, T, ...] and last states."""
        x, states = self.x.astype("float32"), [s.astype("float32") for s in self.states]
        outputs = self.layer(keras.ops.cast(x, self.dtype), initial_state=states, **flags)
        assert {keras.backend.standardize_dtype(y.dtype) for y in outputs} == {self.dtype}
        return [array(y) for y in outputs]

    def check(self, equation, tolerance=None, **flags):
        """Outputs and last states are those of `equation(w, x_t, *states) -> (y_t, states)`, step by step.

        The cell called for each step must give them too: Keras' own loop and decoders run cells in this way.
        """
        tolerance = tolerance or TOLERANCE[self.dtype]
        expected = self.expected(equation)
        for found in (self.run(**flags), self.stepped()):
            for a, b in zip(found, expected, strict=True):
                np.testing.assert_allclose(a, b, atol=tolerance, rtol=tolerance)

    def expected(self, equation):
        states, outputs = list(self.states), []
        for t in range(T):
            y, states = equation(self.w, self.x[:, t], *states)
            outputs.append(y)
        return [np.stack(outputs, axis=1), *states]

    def stepped(self):
        states, outputs = [keras.ops.cast(s, self.dtype) for s in self.states], []
        for t in range(T):
            y, states = self.cell(keras.ops.cast(self.x[:, t], self.dtype), states)
            outputs.append(array(y))
        return [np.stack(outputs, axis=1), *(array(s) for s in states)]


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def columns(matrix, position, units=U):
    """The columns of one gate."""
    return matrix[..., position * units : (position + 1) * units]

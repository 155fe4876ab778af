"""Ba, Kiros and Hinton (2016), equations 20 to 22."""

import keras
import numpy as np
import pytest

import keras_rnnkit as rk
from tests.cells.golden import Case, U, array, columns, every_precision, sigmoid

EPSILON = 1e-2


def normalised(x):
    mean = x.mean(axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(((x - mean) ** 2).mean(axis=-1, keepdims=True) + EPSILON)


def layernorm(w, x, h, c):
    """Each product is normalised over all four gates together."""
    from_input = normalised(x @ w["kernel"]) * w["input_gain"]
    from_state = normalised(h @ w["recurrent_kernel"]) * w["recurrent_gain"]
    total = from_input + from_state + w["bias"]
    i, f, g, o = (columns(total, position) for position in range(4))
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(normalised(c) * w["memory_gain"] + w["memory_bias"])
    h = h @ w["projection_kernel"] if "projection_kernel" in w else h
    return h, [h, c]


@every_precision
@pytest.mark.parametrize("arguments", [{}, {"projection": 2}])
def test_the_papers_equation(arguments, dtype):
    cell = rk.cells.LayerNormLSTMCell(U, epsilon=EPSILON, **arguments, dtype=dtype)
    Case(cell, dtype).check(layernorm)


@pytest.mark.parametrize("dtype", ["float16", "mixed_float16"])
@pytest.mark.parametrize("size", [3.0, 700.0, 20_000.0])
def test_large_products_are_normalised_in_half_precision(size, dtype):
    """Squares of values above 255 overflow in float16; Keras' LayerNormalization computes in float32, and so do we."""
    values = np.random.default_rng(0).normal(size=(3, 4 * U)).clip(-3, 3) * size
    values = keras.ops.cast(values, "float16")
    theirs = keras.layers.LayerNormalization(dtype=dtype, epsilon=1e-3)(values)
    cell = rk.cells.LayerNormLSTMCell(U, dtype=dtype, kernel_initializer="identity", use_bias=False)
    cell.build((None, 4 * U))
    w = cell.weights_as(lambda variable: keras.ops.cast(variable.value, "float16"))
    ours = cell.project(rk.ops.keras, w, values)
    np.testing.assert_allclose(array(ours), array(theirs), atol=2e-3)
    assert np.abs(array(ours)).max() > 1


def test_large_products_reach_the_states_in_half_precision(rng):
    """The gates of |W x| = 700 follow the signs of W x; zeros in place of LN(W x) left them at the bias."""
    cell = rk.cells.LayerNormLSTMCell(U, dtype="float16")
    cell.build((None, 3))
    x = rng.normal(size=(2, 3)).astype("float32")
    (small, _), (large, _) = (
        cell(keras.ops.cast(x * scale, "float16"), cell.get_initial_state(2)) for scale in (10.0, 1000.0)
    )
    np.testing.assert_allclose(array(small), array(large), atol=5e-3)  # LN does not see the scale


def test_epsilon_must_be_positive():
    for epsilon in (0, -1.0, "a", None):
        with pytest.raises(ValueError, match=r"LayerNormLSTMCell: `epsilon` must be a positive number. Received"):
            rk.cells.LayerNormLSTMCell(4, epsilon=epsilon)

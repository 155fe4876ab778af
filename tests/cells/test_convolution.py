"""A causal convolution of each feature, against NumPy's."""

import keras
import numpy as np
import pytest

import keras_rnnkit as rk
from tests.cells.golden import TOLERANCE, B, Case, D, T, every_precision


def convolved(w, past, x):
    """One row: past [K-1, D], x [T, D]."""
    steps = np.concatenate([past, x])
    return np.stack([np.convolve(steps[:, i], w["kernel"][::-1, i], "valid") for i in range(D)], axis=1) + w["bias"]


@every_precision
def test_it_is_numpys_convolution(dtype):
    case = Case(rk.cells.ConvolutionCell(D, dtype=dtype), dtype)
    pasts = case.states[0].reshape(B, 3, D)
    expected = np.stack([convolved(case.w, past, x) for past, x in zip(pasts, case.x, strict=True)])
    for outputs, state in (case.run(), case.stepped()):
        np.testing.assert_allclose(outputs, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
        np.testing.assert_array_equal(state, case.x[:, 1:].reshape(B, 3 * D))


def test_it_is_keras_own_causal_convolution(rng):
    layer, theirs = rk.Recurrent(rk.cells.ConvolutionCell(1), return_sequences=True), keras.layers.Conv1D(1, 4)
    theirs.padding = "causal"
    x = rng.normal(size=(2, T, 1)).astype("float32")
    layer.build(x.shape), theirs.build(x.shape)
    theirs.kernel.assign(layer.cell.kernel[:, None])
    np.testing.assert_allclose(np.array(layer(x)), np.array(theirs(x)), atol=1e-6)


def test_another_width_of_the_input_is_refused():
    with pytest.raises(ValueError, match="must have 3 features. Received: an input of 4 features. Take units=4"):
        rk.Recurrent(rk.cells.ConvolutionCell(3)).build((None, None, 4))
    with pytest.raises(ValueError, match="`kernel_size` must be 2 or more"):
        rk.cells.ConvolutionCell(3, kernel_size=1)

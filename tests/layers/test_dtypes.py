"""A cell computes in its own dtype and a layer returns its own, whichever of the two was given one."""

import keras
import numpy as np
import pytest

import keras_rnnkit as rk
from tests.covering import crossed

X = np.random.default_rng(5).normal(size=(3, 6, 4)).astype("float32")
MASK = np.array([[1, 1, 0, 1, 1, 0], [0, 0, 1, 1, 0, 1], [0, 0, 0, 0, 0, 0]], bool)
DTYPES = (None, "mixed_float16", "mixed_bfloat16", "float16")
if keras.backend.backend() == "tensorflow":
    DTYPES = (*DTYPES, "float64")
CELLS = {"LSTM": (rk.cells.LSTMCell, keras.layers.LSTMCell), "GRU": (rk.cells.GRUCell, keras.layers.GRUCell)}


@crossed("name, kernel, layer_dtype, cell_dtype", CELLS, ["hoisted", "scan"], DTYPES, DTYPES)
def test_dtypes_are_those_of_keras(name, kernel, layer_dtype, cell_dtype, rng):
    ours, stock = CELLS[name]
    layer = rk.Recurrent(ours(4, dtype=cell_dtype), dtype=layer_dtype, kernel=kernel)
    host = keras.layers.RNN(stock(4, dtype=cell_dtype), dtype=layer_dtype)
    layer.build(X.shape), host.build(X.shape)
    layer.set_weights([rng.normal(size=w.shape) for w in host.get_weights()])
    host.set_weights(layer.get_weights())
    received, expected = layer(X, mask=MASK, training=True), host(X, mask=MASK, training=True)
    assert received.dtype == expected.dtype
    half = "16" in f"{layer.compute_dtype}{layer.cell.compute_dtype}"
    as_numbers = [keras.ops.convert_to_numpy(keras.ops.cast(y, "float32")) for y in (received, expected)]
    np.testing.assert_allclose(*as_numbers, atol=(0.06 if "b" in str(layer_dtype) else 0.01) if half else 1e-5)


@pytest.mark.parametrize("kernel", ["hoisted", "scan"])
def test_learned_starts_and_resets_follow_the_cell(kernel):
    layer = rk.Recurrent(rk.cells.GRUCell(4, dtype="mixed_float16"), kernel=kernel, learn_initial_state=True)
    assert keras.backend.standardize_dtype(layer(X, reset_mask=MASK).dtype) == "float32"

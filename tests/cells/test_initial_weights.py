"""With the same seed, our cells and layers start from the same weights as Keras' own."""

import keras
import numpy as np
import pytest

import keras_rnnkit as rk

D, U = 3, 4
PAIRS = {
    "vanilla": (rk.cells.VanillaCell, keras.layers.SimpleRNNCell, rk.VanillaRNN, keras.layers.SimpleRNN),
    "lstm": (rk.cells.LSTMCell, keras.layers.LSTMCell, rk.LSTM, keras.layers.LSTM),
    "gru": (rk.cells.GRUCell, keras.layers.GRUCell, rk.GRU, keras.layers.GRU),
}
ARGUMENTS = {
    "defaults": {},
    "random biases": {"bias_initializer": "random_normal"},
    "dropout": {"dropout": 0.2, "recurrent_dropout": 0.1, "bias_initializer": "uniform"},
    "seeded initializer": {"bias_initializer": keras.initializers.RandomUniform(seed=3), "seed": 5},
    "no bias": {"use_bias": False},
    "half precision": {"dtype": "float16", "kernel_initializer": "random_normal"},
}


def weights_of(make, input_shape):
    """The first weights, and the next number of the generator behind them all: later layers start alike too."""
    keras.utils.set_random_seed(7)
    layer = make()
    layer.build(input_shape)
    follower = keras.layers.Dense(2)
    follower.build((None, U))
    return [keras.ops.convert_to_numpy(w) for w in [*layer.weights, *follower.weights]]


def assert_equal_weights(ours, theirs, input_shape):
    ours, theirs = weights_of(ours, input_shape), weights_of(theirs, input_shape)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("arguments", ARGUMENTS)
@pytest.mark.parametrize("name", PAIRS)
def test_cells_and_layers_start_as_in_keras(name, arguments):
    our_cell, keras_cell, our_layer, keras_layer = PAIRS[name]
    arguments = ARGUMENTS[arguments]
    assert_equal_weights(lambda: our_cell(U, **arguments), lambda: keras_cell(U, **arguments), (None, D))
    assert_equal_weights(lambda: our_layer(U, **arguments), lambda: keras_layer(U, **arguments), (None, None, D))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("lstm", {"unit_forget_bias": False}), ("gru", {"reset_after": False}), ("gru", {"reset_after": True})],
)
def test_variants_start_as_in_keras(name, arguments):
    our_cell, keras_cell, *_ = PAIRS[name]
    arguments = {**arguments, "bias_initializer": "glorot_normal" if "reset_after" in arguments else "random_normal"}
    assert_equal_weights(lambda: our_cell(U, **arguments), lambda: keras_cell(U, **arguments), (None, D))


@pytest.mark.parametrize("name", PAIRS)
def test_both_directions_start_as_in_keras(name):
    *_, our_layer, keras_layer = PAIRS[name]
    assert_equal_weights(
        lambda: rk.Bidirectional(our_layer(U)), lambda: keras.layers.Bidirectional(keras_layer(U)), (None, None, D)
    )


@pytest.mark.parametrize("make", [rk.cells.LSTMCell, rk.cells.CoupledLSTMCell, rk.cells.PeepholeLSTMCell])
def test_only_the_forget_gate_starts_at_one(make):
    cell = make(U)
    cell.build((None, D))
    bias = keras.ops.convert_to_numpy(cell.bias).reshape(-1, U)
    expected = np.zeros_like(bias)
    expected[{4: 1, 3: 0}[len(bias)]] = 1.0
    np.testing.assert_array_equal(bias, expected)


def test_a_projection_starts_unlike_the_input_matrix():
    """Both use `kernel_initializer`, which gives the same numbers whenever it is called with one shape."""
    cell = rk.cells.LSTMCell(8, projection=8, kernel_initializer="random_normal")
    cell.build((None, 8))
    kernel, projection = (keras.ops.convert_to_numpy(w) for w in (cell.kernel, cell.projection_kernel))
    assert np.abs(kernel.ravel()[:64] - projection.ravel()).min() > 0

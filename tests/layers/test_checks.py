"""What a call may not bring, each refused in a sentence."""

import keras
import numpy as np
import pytest

import keras_rnnkit as rk

X = np.ones((2, 5, 3), "float32")


@pytest.mark.parametrize("kernel", ["auto", "scan"])
@pytest.mark.parametrize(
    "x, sentence",
    [
        (np.ones((2, 5, 3, 2), "float32"), "expects sequences of shape .* Received: shape=.2, 5, 3, 2.. Join the axes"),
        (X.astype("complex64"), "computes with real numbers. Received: sequences of dtype complex64"),
        (X[0], "expects sequences of shape"),
    ],
)
def test_sequences(kernel, x, sentence):
    with pytest.raises(ValueError, match=sentence):
        rk.LSTM(4, kernel=kernel)(x)


class PictureCell(keras.layers.Layer):
    """A user's cell whose steps are pictures."""

    state_size = 2

    def call(self, x, states):
        h = states[0] + keras.ops.mean(x, axis=(1,))
        return h, [h]


def test_a_users_cell_may_take_steps_of_any_shape():
    assert rk.Recurrent(PictureCell())(np.ones((2, 5, 3, 2), "float32")).shape == (2, 2)


@pytest.mark.parametrize("kernel", ["auto", "scan"])
@pytest.mark.parametrize(
    "state, sentence",
    [
        (np.ones((3, 4)), "the sequences have 2 rows and state 0 has 3. Received: initial_state.0. of shape .3, 4."),
        (np.ones(4), "state 0 needs the axes"),
        (np.ones((2, 5)), "state 0 has size 4"),
    ],
)
def test_states(kernel, state, sentence):
    with pytest.raises(ValueError, match=sentence):
        rk.LSTM(4, kernel=kernel)(X, initial_state=[state, state])


@pytest.mark.parametrize("kernel", ["auto", "scan"])
def test_a_single_row_is_the_start_of_all(kernel):
    layer = rk.GRU(4, kernel=kernel)
    row = np.full((1, 4), 0.5, "float32")
    alike = [layer(X, initial_state=start, training=True) for start in (row, np.repeat(row, 2, axis=0))]
    np.testing.assert_allclose(*map(keras.ops.convert_to_numpy, alike), atol=1e-6)


@pytest.mark.parametrize("size", [2, 3])
def test_a_condition_of_another_batch(size):
    layer = rk.Recurrent(rk.cells.ConditionedCell(rk.cells.VanillaCell(4), 2))
    with pytest.raises(ValueError, match="rows and state 1 has 3|state 1 has size 2"):
        layer(X, condition=np.ones((3 if size == 2 else 2, size), "float32"))

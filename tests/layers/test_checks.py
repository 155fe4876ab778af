"""What a call may not bring, each refused in a sentence."""

import keras
import numpy as np
import pytest

import keras_rnnkit as rk
from keras_rnnkit.layers.recurrent import one_for_each_row

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


def test_a_single_row_of_a_state_is_where_all_rows_start():
    x = np.ones((4, 5, 3), "float32")
    row, rows, column = (keras.ops.ones(shape) for shape in ((1, 2), (4, 2), (4, 1)))
    repeated, same_rows, same_column = one_for_each_row([row, rows, column], x)
    assert repeated.shape == (4, 2)
    assert same_rows is rows and same_column is column
    assert one_for_each_row([row], x[:1])[0] is row
    vector = keras.ops.ones((1,))
    assert one_for_each_row([vector], x)[0] is vector


def test_a_reset_leaves_a_condition_as_it_is():
    layer = rk.Recurrent(rk.cells.ConditionedCell(rk.cells.LSTMCell(2), 2))
    layer.build((None, None, 3))
    states = [keras.ops.ones((4, 2)) * value for value in (1.0, 2.0, 3.0)]
    h, c, condition = layer.start_states(states)
    assert condition is states[2]
    assert not np.any(h) and not np.any(c)


@pytest.mark.parametrize("name", ["mask", "reset_mask"])
def test_flags_have_one_value_for_each_row_and_step(name):
    layer = rk.LSTM(2, name="layer")
    layer(X, **{name: np.ones((2, 5), bool)})
    for shape in ((2, 4), (3, 5), (2,), (2, 5, 1)):
        with pytest.raises(ValueError, match=rf"`{name}` needs one value for each row and step.*= \(2, 5\)"):
            layer(X, **{name: np.ones(shape, bool)})


def test_whether_xla_may_compile_a_layer_can_be_set():
    layer = rk.LSTM(2)
    assert layer.supports_jit is True
    layer.supports_jit = False
    assert layer.supports_jit is False

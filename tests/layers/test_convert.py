"""rk.convert and rk.explain on models as people write them."""

import keras
import numpy as np
import pytest

import keras_rnnkit as rk

layers = keras.layers
IDS = np.array([[1, 2, 3, 0, 0], [4, 0, 5, 6, 0], [7, 8, 9, 1, 2]])
X = np.random.default_rng(2).normal(size=(3, 5, 4)).astype("float32")


def sequential():
    return keras.Sequential([keras.Input((None, 4)), layers.LSTM(5, return_sequences=True), layers.GRU(3)]), X


def masked_functional():
    tokens = keras.Input((None,), dtype="int32")
    x = layers.Embedding(10, 4, mask_zero=True)(tokens)
    x = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(x)
    nested = keras.Sequential([keras.Input((None, 6)), layers.GRU(4, return_sequences=True), layers.Dense(3)])
    return keras.Model(tokens, layers.SimpleRNN(2)(nested(x))), IDS


def seq2seq():
    source, target = keras.Input((None, 4), name="source"), keras.Input((None, 4), name="target")
    _, h, c = layers.LSTM(5, return_state=True)(source)
    x = layers.LSTM(5, return_sequences=True)(target, initial_state=[h, c])
    return keras.Model([source, target], layers.Dense(2)(x)), [X, X[:, ::-1].copy()]


def shared():
    a, b = keras.Input((None, 4)), keras.Input((None, 4))
    reader = layers.GRU(3)
    return keras.Model([a, b], layers.Concatenate()([reader(a), reader(b)])), [X, X[:, ::-1].copy()]


def stacked_cells():
    cells = [layers.GRUCell(4), layers.LSTMCell(3)]
    return keras.Sequential([keras.Input((None, 4)), layers.RNN(cells, return_sequences=True)]), X


def single_cells():
    return keras.Sequential([keras.Input((None, 4)), layers.RNN(layers.LSTMCell(4), return_sequences=True)]), X


def wrapped():
    model = keras.Sequential([keras.Input((2, None, 4)), layers.TimeDistributed(layers.LSTM(3))])
    return model, np.stack([X, X], axis=1)


def subclassed():
    class Reader(keras.Model):
        def __init__(self):
            super().__init__()
            self.embed = layers.Embedding(10, 4, mask_zero=True)
            self.readers = [layers.LSTM(4, return_sequences=True), layers.GRU(3)]

        def call(self, ids):
            x = self.embed(ids)
            for reader in self.readers:
                x = reader(x)
            return x

    return Reader(), IDS


MODELS = (sequential, masked_functional, seq2seq, shared, stacked_cells, single_cells, wrapped, subclassed)


@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_converted_models_compute_the_same_on_the_same_variables(make):
    model, x = make()
    expected = np.asarray(model(x))
    before = {id(v): v.path for v in model.variables}
    ours = rk.convert(model)
    np.testing.assert_allclose(np.asarray(ours(x)), expected, atol=1e-6)
    assert {id(v) for v in ours.weights} == {key for key in before if key in {id(v) for v in model.weights}}
    rows = rk.explain(ours, print_fn=None)
    assert rows and all(row.kernel == "hoisted" for row in rows if row.cell != "StackedRNNCells")


def test_training_the_copy_trains_the_original():
    model, x = masked_functional()
    ours = rk.convert(model)
    ours.compile("adam", "mse")
    ours.fit(x, np.ones((3, 2)), epochs=2, verbose=0)
    np.testing.assert_allclose(np.asarray(ours(x)), np.asarray(model(x)), atol=1e-6)


def test_a_converted_model_survives_a_file(tmp_path):
    model, x = masked_functional()
    ours = rk.convert(model)
    ours.save(tmp_path / "ours.keras")
    loaded = rk.load_model(tmp_path / "ours.keras")
    np.testing.assert_allclose(np.asarray(loaded(x)), np.asarray(model(x)), atol=1e-6)


def test_an_unbuilt_model_is_converted_too():
    ours = rk.convert(keras.Sequential([layers.LSTM(5)]))
    assert isinstance(ours.layers[0], rk.LSTM)
    assert ours(X).shape == (3, 5)


def test_a_users_subclass_is_left_alone():
    class Mine(layers.LSTM):
        pass

    model = keras.Sequential([keras.Input((None, 4)), Mine(3)])
    assert type(rk.convert(model).layers[0]) is Mine


def test_explain_says_why():
    tokens = keras.Input((None,), dtype="int32")
    x = layers.Embedding(10, 4, mask_zero=True)(tokens)
    x = rk.LSTM(4, return_sequences=True, name="plain")(x)
    x = rk.GRU(4, return_sequences=True, unroll=False, kernel="scan", name="asked")(x)
    x = rk.Recurrent([rk.cells.GRUCell(4)], name="cells")(x)
    model = keras.Model(tokens, x)
    lines = []
    rows = {row.layer: row for row in rk.explain(model, print_fn=lines.append)}
    assert [rows[name].kernel for name in ("plain", "asked", "cells")] == ["hoisted", "scan", "scan"]
    reasons = {"tensorflow": "there is no GPU", "jax": "Keras gives cuDNN no masks"}
    assert reasons[keras.backend.backend()] in rows["plain"].reason
    assert "kernel='scan' was asked for" in rows["asked"].reason
    assert "project, recur and gates" in rows["cells"].reason
    assert lines[0].split() == ["layer", "cell", "kernel", "onnx", "streams", "reason"] and len(lines) == 5


def test_explain_on_stock_layers_points_to_convert():
    model, _ = sequential()
    assert all("rk.convert" in row.reason for row in rk.explain(model, print_fn=None))
    lines = []
    assert rk.explain(keras.Sequential([layers.Dense(2)], name="plain"), print_fn=lines.append) == []
    assert lines == ["'plain' has no recurrent layer."]


def test_explain_tells_what_becomes_of_a_layer_in_onnx():
    x = keras.Input((None, 3))
    y = layers.Bidirectional(layers.SimpleRNN(4, return_sequences=True), name="both")(x)
    y = rk.Recurrent(rk.cells.LayerNormLSTMCell(4), return_sequences=True, name="normed")(y)
    y = layers.RNN([layers.LSTMCell(4), rk.cells.GRUCell(3, activation="gelu")], name="two")(y)
    rows = {row.layer.split("/")[-1].rstrip("_0123456789"): row for row in rk.explain(keras.Model(x, y), print_fn=None)}
    assert {name: (row.onnx, row.streams) for name, row in rows.items()} == {
        "forward_simple_rnn": ("RNN", "yes"),
        "backward_simple_rnn": ("RNN", "no"),
        "normed": ("Scan", "yes"),
        "two": ("LSTM, Scan", "yes"),
    }
    assert [row.onnx for row in rk.explain(keras.Sequential([layers.GRU(3)]), print_fn=None)] == ["not built"]

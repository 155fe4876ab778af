"""rk.explain: which kernel runs each layer and why, and what becomes of it in ONNX."""

import keras

import keras_rnnkit as rk
from keras_rnnkit.layers.traversal import inner_layers
from tests.layers.models import sequential

layers = keras.layers


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


def test_explain_does_not_promise_a_conversion_that_is_not_made():
    class Mine(layers.LSTM):
        pass

    model = keras.Sequential(
        [keras.Input((None, 3)), Mine(4, return_sequences=True), layers.GRU(3, recurrent_dropout=0.1)]
    )
    reasons = [row.reason for row in rk.explain(model, print_fn=None)]
    assert "Mine is a class of its own" in reasons[0] and "a dropout mask for each gate" in reasons[1]


def test_layers_of_the_same_name_have_paths_of_their_own():
    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.parts = [layers.Dense(2, name=name) for name in ("same", "same", "same_1", "same")]

    model = Model()
    paths = dict(inner_layers(model))
    assert list(paths) == ["same", "same_2", "same_1", "same_3"]
    assert list(paths.values()) == model.parts

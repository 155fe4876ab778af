"""Streams: chunk after chunk in onnxruntime, states handed on, is what Keras gives for the whole."""

import json
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import onnx
import pytest

import keras_rnnkit as rk
from keras_rnnkit.export.checking.sessions import session
from keras_rnnkit.export.errors import ExportError
from tests.export.conftest import randomised
from tests.export.table import sequential

L = keras.layers


def tokens(make):
    return sequential(
        L.Embedding(11, 3, mask_zero=True),
        make(4, return_sequences=True),
        make(5, return_sequences=True),
        L.Dense(11),
        shape=(None,),
        dtype="int32",
    )


def conditioned():
    x, v = keras.Input((None, 3), name="x"), keras.Input((7,), name="v")
    cell = rk.cells.ConditionedCell(rk.cells.LSTMCell(4), 7)
    return keras.Model([x, v], rk.Recurrent(cell, return_sequences=True)(x, condition=v))


def attentive():
    x = keras.Input((None, 3), name="x")
    y = L.LSTM(4, return_sequences=True)(x)
    return keras.Model(x, L.MultiHeadAttention(2, 4, name="looker")(y, y))


def encoder_decoder():
    source, target = keras.Input((None, 3), name="source"), keras.Input((None, 2), name="target")
    _, *states = L.GRU(4, return_state=True)(source)
    return keras.Model([source, target], L.GRU(4, return_sequences=True, name="decoder")(target, initial_state=states))


@keras.saving.register_keras_serializable()
class Counting(keras.Model):
    """Adds up over all steps outside of any layer."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.reader = L.GRU(3, return_sequences=True)

    def call(self, x):
        return keras.ops.cumsum(self.reader(x), axis=1)


def counting():
    model = Counting(name="counting")
    model(np.zeros((1, 4, 3), "float32"))
    return model


class Streamed(NamedTuple):
    build: Callable[[], keras.Model]
    shapes: list[list[int]]


STREAMS = {
    "two layers": Streamed(lambda: sequential(rk.LSTM(4, return_sequences=True), L.GRU(5)), [[4], [4], [5]]),
    "masking": Streamed(
        lambda: sequential(L.Masking(), L.LSTM(4, return_sequences=True), rk.GRU(3, learn_initial_state=True)),
        [[4], [4], [4], [3], [3]],
    ),
    "zero at masked steps": Streamed(
        lambda: sequential(L.Masking(), L.GRU(4, return_sequences=True, zero_output_for_mask=True)), [[4]]
    ),
    "masked tokens": Streamed(lambda: tokens(L.SimpleRNN), [[4], [4], [5], [5]]),
    "stateful": Streamed(
        lambda: sequential(L.GRU(4, stateful=True, return_sequences=True), L.LSTM(4, stateful=True), batch_size=4),
        [[4], [4], [4]],
    ),
    "causal convolution": Streamed(
        lambda: sequential(
            L.Conv1D(4, 3, padding="causal", dilation_rate=2, activation="relu"),
            L.GRU(4, return_sequences=True),
            L.Conv1D(2, 2, padding="causal"),
            L.Conv1D(3, 1),
        ),
        [[4, 3], [4], [1, 4]],
    ),
    "a convolution in the loop": Streamed(
        lambda: sequential(L.ConvLSTM1D(2, 3, return_sequences=True, padding="same"), shape=(None, 6, 3)),
        [[6, 2], [6, 2]],
    ),
    "a sequence in each step": Streamed(
        lambda: sequential(
            L.TimeDistributed(L.Bidirectional(L.LSTM(3))), L.GRU(4, return_sequences=True), shape=(None, 2, 3)
        ),
        [[4]],
    ),
    "steps of a known number": Streamed(lambda: sequential(L.GRU(4, return_sequences=True), shape=(6, 3)), [[4]]),
    "stack": Streamed(
        lambda: sequential(
            rk.Stack(
                [rk.LSTM(4, return_sequences=True), rk.GRU(4, return_sequences=True)], residual=True, layer_norm=True
            )
        ),
        [[4], [4], [4]],
    ),
    "cells in one loop": Streamed(
        lambda: sequential(L.RNN([L.LSTMCell(4), L.GRUCell(3)], return_sequences=True)), [[4], [4], [3]]
    ),
    "a cell of ours, masked": Streamed(
        lambda: sequential(
            L.Masking(),
            rk.Recurrent(rk.cells.ZoneoutCell(rk.cells.LayerNormLSTMCell(4, projection=3)), return_sequences=True),
        ),
        [[3], [4], [3]],
    ),
    "a condition": Streamed(conditioned, [[4], [4]]),
}

VERIFIED = ["two layers", "masked tokens", "causal convolution", "a sequence in each step", "a condition"]
"""Models whose export compares the file with Keras too, as it does by default."""

REFUSED = {
    "the end": (
        lambda: sequential(L.Bidirectional(L.LSTM(3), name="reader")),
        "the layer 'reader/backward_lstm.*' reads the sequence from its end",
    ),
    "backwards": (
        lambda: sequential(L.GRU(3, go_backwards=True, name="back")),
        "'back' reads the sequence from its end",
    ),
    "attention": (attentive, "'looker' cannot run on a chunk: it attends over the whole input"),
    "later steps": (
        lambda: sequential(L.Conv1D(3, 3, padding="same", name="wide"), L.GRU(3)),
        "'wide' sees later steps .padding='same'.; padding='causal'",
    ),
    "a shorter output": (lambda: sequential(L.Conv1D(3, 3, name="wide"), L.GRU(3)), "'wide' sees later steps"),
    "strides": (
        lambda: sequential(L.Conv1D(3, 3, padding="causal", strides=2, name="wide"), L.GRU(3)),
        r"'wide' skips steps .strides=\(2,\)",
    ),
    "pooling": (
        lambda: sequential(L.GRU(3, return_sequences=True), L.GlobalAveragePooling1D(name="mean")),
        "'mean' cannot run on a chunk: it pools",
    ),
    "flattening": (
        lambda: sequential(L.GRU(3, return_sequences=True), L.Flatten(), L.Dense(2, name="head"), shape=(6, 3)),
        r"'head' cannot run on a sequence of \[2, 13, 3\]",
    ),
    "states from elsewhere": (encoder_decoder, "'decoder' gets its initial state from other layers"),
    "a sum over steps": (counting, "'counting' .Counting. gives other outputs for chunks"),
}


def facts(path):
    properties = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    return {key: json.loads(value) for key, value in properties.items()}


@pytest.mark.parametrize("name", STREAMS)
def test_chunks_are_the_whole(name, tmp_path):
    """The export compares chunks with Keras on the whole itself; here a runner that knows the file alone does so."""
    case, path = STREAMS[name], tmp_path / "stream.onnx"
    model = randomised(case.build())
    report = rk.export_onnx(model, path, mode="stream", verify=name in VERIFIED)
    assert report.error is None or report.error < 1e-5
    states = facts(path)["keras_rnnkit.states"]
    assert [state["shape"] for state in states] == case.shapes
    runner, rng = session(path.read_bytes()), np.random.default_rng(5)
    feeds = {value.name: series(rng, value, rows=4, steps=9) for value in runner.get_inputs()[: -len(states)]}
    expected = keras.ops.convert_to_numpy(model(list(feeds.values()) if len(feeds) > 1 else feeds["x"]))
    found = stream(runner, states, feeds, rows=4, lengths=(2, 1, 6))
    np.testing.assert_allclose(found if expected.ndim > 2 else found[:, -1], expected, atol=1e-5)


def series(rng, value, rows, steps):
    shape = [{0: rows, 1: steps}[axis] if isinstance(n, str) else n for axis, n in enumerate(value.shape)]
    if "int" in value.type:
        return rng.integers(0, 4, size=shape).astype("int32")
    x = rng.normal(size=shape).astype("float32")
    if x.ndim > 2:
        x[rng.random(x.shape[:2]) < 0.4] = 0  # masked, where the model masks
    return x


def stream(runner, states, feeds, rows, lengths):
    """The first output over all chunks; of one without steps its value at every chunk."""
    carried = {s["input"]: np.full([rows, *s["shape"]], s["start"], s["dtype"]) for s in states}
    outputs, begin = [], 0
    for length in lengths:
        chunk = {k: x[:, begin : begin + length] if x.ndim > 2 or x.dtype == "int32" else x for k, x in feeds.items()}
        values = dict(zip([o.name for o in runner.get_outputs()], runner.run(None, {**chunk, **carried}), strict=True))
        carried = {s["input"]: values[s["output"]] for s in states}
        y = next(iter(values.values()))
        outputs.append(y if y.ndim > 2 else y[:, None])
        begin += length
    return np.concatenate(outputs, axis=1)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_stream_is_refused_by_name(name, tmp_path):
    build, sentence = REFUSED[name]
    with pytest.raises(ExportError, match=f"^The model cannot be streamed: .*{sentence}"):
        rk.export_onnx(randomised(build()), tmp_path / "stream.onnx", mode="stream")
    assert not list(tmp_path.iterdir())


def test_rows_of_one_batch_are_streams_of_their_own(tmp_path):
    path = tmp_path / "stream.onnx"
    rk.export_onnx(
        randomised(sequential(rk.LSTM(4, return_sequences=True), rk.GRU(3))), path, mode="stream", verify=False
    )
    runner, states = session(path.read_bytes()), facts(path)["keras_rnnkit.states"]
    x = np.random.default_rng(2).normal(size=(3, 6, 3)).astype("float32")
    together = stream(runner, states, {"x": x}, rows=3, lengths=(4, 2))
    for row in range(3):
        alone = stream(runner, states, {"x": x[row : row + 1]}, rows=1, lengths=(1,) * 6)
        np.testing.assert_allclose(alone[:, -1], together[row : row + 1, -1], atol=1e-6)


def test_the_file_says_where_a_stream_starts(tmp_path):
    model = randomised(sequential(rk.GRU(4, learn_initial_state=True, name="reader")))
    rk.export_onnx(model, tmp_path / "stream.onnx", mode="stream", verify=False)
    known = facts(tmp_path / "stream.onnx")
    assert known["keras_rnnkit.mode"] == "stream"
    (state,) = known["keras_rnnkit.states"]
    assert (state["input"], state["output"], state["layer"]) == ("state_0", "next_state_0", "reader")
    np.testing.assert_array_equal(np.float32(state["start"]), np.array(model.layers[0].learned_states[0]))


def test_streaming_leaves_the_model_as_it_was(tmp_path):
    model = randomised(sequential(L.Conv1D(3, 2, padding="causal"), L.GRU(4, stateful=True), batch_size=2))
    before = [np.array(state) for state in model.layers[1].states]
    rk.export_onnx(model, tmp_path / "stream.onnx", mode="stream", verify=False)
    assert model.layers[0].padding == "causal" and model.layers[1].stateful
    np.testing.assert_array_equal(before[0], np.array(model.layers[1].states[0]))


def test_an_unknown_mode(tmp_path):
    with pytest.raises(ExportError, match=r"Received: mode='chunks'\. Expected one of 'sequence', 'stream'"):
        rk.export_onnx(sequential(L.GRU(2)), tmp_path / "model.onnx", mode="chunks")

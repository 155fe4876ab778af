"""Operations that tf2onnx cannot write have ONNX forms of ours, exact where a plain formula loses digits."""

import itertools

import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf
from keras import layers as L
from keras import ops
from onnx.reference import ReferenceEvaluator

import keras_rnnkit as rk
from keras_rnnkit.export.checking.sessions import session
from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.tracing.onnx_forms import FORMS
from tests.covering import studied


class Apply(L.Layer):
    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)
        self.function = function

    def call(self, x):
        return self.function(x)


OPERATIONS = {
    "erfc": keras.activations.gelu,
    "celu": keras.activations.celu,
    "expm1": ops.expm1,
    "log1p": lambda x: ops.log1p(ops.abs(x)),
    "discretization": lambda x: ops.digitize(x, [-1.0, 0.0, 0.5]),
    "argmax": lambda x: ops.argmax(x, axis=-1),
    "argmin": lambda x: ops.argmin(x, axis=-1),
    "signbit": ops.signbit,
}
MAGNITUDES = np.concatenate([[0.0], 10.0 ** np.arange(-9, 1.1, 0.25), [0.199, 0.2, 0.4999, 0.5]])
VALUES = np.concatenate([-MAGNITUDES[::-1], MAGNITUDES]).astype("float32")[:, None] * np.float32([1, 0.7, -1])


@pytest.fixture(scope="module")
def every_form(tmp_path_factory):
    """What Keras and the file of one model give for each operation."""
    x, path = keras.Input((None, 3), name="x"), tmp_path_factory.mktemp("forms") / "model.onnx"
    outputs = {name: Apply(function)(x) for name, function in OPERATIONS.items()}
    model = keras.Model(x, {**outputs, "lstm": L.LSTM(2)(x)})
    rk.export_onnx(model, path)
    actual = session(path.read_bytes()).run(list(outputs), {"x": VALUES[None]})
    return model(VALUES[None]), dict(zip(outputs, actual, strict=True))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_form_gives_what_keras_gives(operation, every_form):
    expected, actual = (np.asarray(each[operation]) for each in every_form)
    assert actual.dtype == expected.dtype
    np.testing.assert_allclose(actual, expected, rtol=1e-5 if operation != "erfc" else 1e-3, atol=1e-7)


def test_every_form_is_used_by_an_operation_of_the_table():
    def operations(function):
        traced = tf.function(function, input_signature=[tf.TensorSpec((None, 3))]).get_concrete_function()
        return {node.op for node in traced.graph.as_graph_def().node}

    assert set(FORMS) <= set().union(*map(operations, OPERATIONS.values()))


def test_a_bitcast_of_which_more_than_the_sign_is_read_is_refused(tmp_path):
    x = keras.Input((None, 3), name="x")
    model = keras.Model(x, [Apply(lambda x: tf.bitcast(x, tf.int32), name="bits")(x), L.LSTM(2)(x)])
    with pytest.raises(ExportError, match="Bitcast"):
        rk.export_onnx(model, tmp_path / "model.onnx")


@studied(
    "make, sequences",
    itertools.product([L.LSTM, L.GRU, L.SimpleRNN], [False, True]),
    [(L.LSTM, True), (L.GRU, False), (L.SimpleRNN, True)],
)
def test_masked_files_run_on_engines_that_ignore_sequence_lens(make, sequences, tmp_path):
    """onnx.reference ignores that input of the operators."""
    x = keras.Input((None, 3), name="x")
    model = keras.Model(x, make(4, return_sequences=sequences)(L.Masking()(x)))
    rk.export_onnx(model, tmp_path / "model.onnx")
    proto = onnx.load(tmp_path / "model.onnx")
    assert all(len(node.input) < 5 or not node.input[4] for node in proto.graph.node if node.op_type == make_op(make))
    values = np.random.default_rng(0).normal(size=(3, 6, 3)).astype("float32")
    values[0, 4:], values[1, 1:3], values[2] = 0, 0, 0
    actual = ReferenceEvaluator(proto).run(None, {"x": values})[0]
    np.testing.assert_allclose(actual, model(values), atol=1e-6)


def make_op(make):
    return {L.LSTM: "LSTM", L.GRU: "GRU", L.SimpleRNN: "RNN"}[make]


def test_large_weights_stand_in_the_file_once(tmp_path, monkeypatch):
    """They do not travel through the trace, tied and stateful models included."""
    monkeypatch.setattr("keras_rnnkit.export.tracing.tensorflow_graph.LARGE", 64)
    tokens = keras.Input((None,), dtype="int32", name="tokens", batch_size=2)
    embedding = L.Embedding(11, 4)
    y = L.GRU(4, return_sequences=True, stateful=True)(embedding(tokens))
    y = L.Dense(7, activation="tanh")(y)
    model = keras.Model(tokens, L.EinsumDense("btd,de->bte", (None, 11))(y))
    report = rk.export_onnx(model, tmp_path / "model.onnx")
    assert report.error < 1e-5
    assert [row.lowering for row in report.rows] == ["GRU"]
    sizes = sorted(
        np.prod(i.dims) for i in onnx.load(tmp_path / "model.onnx").graph.initializer if np.prod(i.dims) >= 28
    )
    assert sizes == sorted([44, 28, 77, 48, 48])

"""Bad input: a sentence with what came, what was expected and the remedy, and no file left behind."""

import os

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_rnnkit as rk
from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.saving import files
from tests.export.conftest import randomised
from tests.export.table import Tagger, TwoArguments, sequential

L = keras.layers


def good():
    return sequential(L.GRU(4))


@pytest.fixture
def refused(tmp_path):
    """refused(model, sentence, **arguments): the export is refused, and leaves nothing."""

    def check(model, sentence, path=None, **arguments):
        with pytest.raises(ExportError, match=sentence):
            rk.export_onnx(model, tmp_path / "model.onnx" if path is None else path, **arguments)
        assert list(tmp_path.iterdir()) == []

    return check


@pytest.mark.parametrize("opset", [7, 12, 99, "18"])
def test_opset_out_of_range(refused, opset):
    refused(good(), f"Received: opset={opset!r}. Expected 13 to 18", opset=opset)


def test_a_model_that_was_never_called(refused):
    refused(Tagger(), "has not been called yet.*Call it once, model")
    refused(keras.Sequential([L.GRU(4)]), "has not been called yet")


def test_not_a_model(refused):
    refused(L.GRU(4), "takes a Keras model. Received: GRU. A layer becomes a model with")
    refused("model.keras", "Received: str.*load_model")


def test_a_subclassed_model_of_two_arguments_without_inputs(refused):
    model = TwoArguments()
    model(np.ones((2, 5, 3), "float32"), np.ones((2, 2), "float32"))
    refused(model, "could not be traced.*pass inputs=")


def test_paths(refused, tmp_path):
    refused(good(), "There is no folder .*nowhere.* to write 'm.onnx' to", path=tmp_path / "nowhere" / "m.onnx")
    refused(good(), "names a folder.*Give a file", path=tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to(refused, tmp_path):
    tmp_path.chmod(0o500)
    try:
        refused(good(), "cannot be written to")
    finally:
        tmp_path.chmod(0o700)


def test_input_names(refused):
    refused(good(), r"one name for each of the 1 inputs \['x'\].*Received: \['a', 'b'\]", input_names=["a", "b"])


def test_lowering(refused):
    refused(good(), "Received: lowering='fast'. Expected one of 'auto', 'native', 'scan'", lowering="fast")


def test_another_backend(refused, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    refused(good(), "KERAS_BACKEND='jax'.*KERAS_BACKEND=tensorflow")
    with pytest.raises(ExportError, match="KERAS_BACKEND='jax'"):
        rk.export_saved_model(good(), "saved")


def test_operations_without_an_onnx_form(refused):
    x = keras.Input((None, 3), name="x")
    y = keras.ops.segment_sum(L.GRU(4, return_sequences=True)(x)[0], keras.ops.zeros((3,), "int32"), 2)
    refused(keras.Model(x, y), "(tf2onnx has no ONNX form for|onnxruntime does not run|none of the inputs)")


def test_a_tolerance_that_cannot_be_met(refused):
    model = randomised(sequential(L.LSTM(64, return_sequences=True), L.LSTM(64)))
    refused(model, "The graph is not exact.*a larger tolerance= accepts", tolerance=1e-12)


def test_a_crash_while_writing_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(files.os, "replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        rk.export_onnx(good(), tmp_path / "model.onnx", verify=False)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_export_leaves_the_file_that_was_there(tmp_path):
    path = tmp_path / "model.onnx"
    rk.export_onnx(good(), path, verify=False)
    before = path.read_bytes()
    with pytest.raises(ExportError):
        rk.export_onnx(randomised(sequential(L.LSTM(64), L.Dense(3))), path, tolerance=1e-14)
    assert path.read_bytes() == before


class NotWritable(rk.cells.Cell):
    """A cell that calls Keras where it should call `ops`."""

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")

    def project(self, ops, w, x):
        return ops.matmul(x, w.kernel)

    def recur(self, ops, w, h):
        return h

    def gates(self, ops, w, z, r, state):
        h = keras.ops.tanh(z + r)
        return h, [h]


def test_a_cell_that_cannot_be_written_stays_as_traced_and_says_why(tmp_path):
    report = rk.export_onnx(randomised(sequential(rk.Recurrent(NotWritable(4)))), tmp_path / "model.onnx")
    assert report.error < 1e-5
    assert report.rows[0].lowering == "as traced"
    assert "NotWritable cannot be written as an ONNX graph" in report.rows[0].reason


class FixedSteps(keras.Model):
    """Subclassed, and bound to the number of steps it is first called with."""

    def __init__(self):
        super().__init__()
        self.reader = L.GRU(4, return_sequences=True)
        self.head = L.Dense(2)

    def call(self, x):
        y = self.reader(x)
        return self.head(keras.ops.reshape(y, (-1, x.shape[1] * 4)))


def test_a_model_bound_to_its_steps_is_exported_with_them(tmp_path):
    model = FixedSteps()
    model(np.ones((2, 6, 3), "float32"))
    report = rk.export_onnx(model, tmp_path / "model.onnx")
    assert report.inputs == {"input": ["batch", 6, 3]}
    assert "cannot be traced with a free number of steps" in report.notes[0]


class Moody(keras.layers.Layer):
    """Computes something else where it is traced."""

    def call(self, x):
        return x if tf.executing_eagerly() else x + 1e-3


def test_the_layer_in_which_a_difference_begins_is_named(refused):
    inside = keras.Sequential([L.Dense(3), Moody(name="moody")], name="inside")
    model = sequential(L.GRU(4, return_sequences=True), inside, L.GRU(4, return_sequences=True), L.Dense(2))
    refused(randomised(model), "not exact.*It begins in the layer 'inside/moody', whose output differs by 0.001")
    refused(model, "not exact.*It begins in the layer 'inside/moody'", mode="stream")

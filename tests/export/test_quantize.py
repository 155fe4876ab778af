"""Weights in fewer bits: every kind of recurrence, the error measured and bounded."""

import json

import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf

import keras_rnnkit as rk
from keras_rnnkit.export.checking.sessions import session
from keras_rnnkit.export.checking.trials import calibration
from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.reading.signature import signature_of
from tests.covering import studied
from tests.export.conftest import randomised
from tests.export.table import sequential

L = keras.layers
U = 48


def two_layers(cell):
    """Such cells have no weights but those of their input, so the second layer has nearly all of the weights."""
    return sequential(rk.Recurrent(cell(U), return_sequences=True), rk.Recurrent(cell(2 * U)), L.Dense(3))


MODELS = {
    "lstm": (lambda: sequential(L.LSTM(U, return_sequences=True), L.Dense(3)), "DynamicQuantizeLSTM"),
    "gru": (lambda: sequential(rk.GRU(U, return_sequences=True), L.Dense(3)), "MatMulInteger"),
    "gru before": (lambda: sequential(L.GRU(U, reset_after=False), L.Dense(3)), "MatMulInteger"),
    "vanilla": (lambda: sequential(rk.VanillaRNN(U), L.Dense(3)), "MatMulInteger"),
    "masked lstm": (lambda: sequential(L.Masking(), L.LSTM(U), L.Dense(3)), "DynamicQuantizeLSTM"),
    "peephole": (lambda: sequential(rk.Recurrent(rk.cells.PeepholeLSTMCell(U)), L.Dense(3)), "DynamicQuantizeLSTM"),
    "layer norm": (lambda: sequential(rk.Recurrent(rk.cells.LayerNormLSTMCell(U)), L.Dense(3)), "MatMulInteger"),
    "minimal gru": (lambda: two_layers(rk.cells.MinGRUCell), "MatMulInteger"),
    "matrix memory": (lambda: two_layers(rk.cells.MLSTMCell), "MatMulInteger"),
    "both directions": (lambda: sequential(L.Bidirectional(L.LSTM(U)), L.Dense(3)), "DynamicQuantizeLSTM"),
}


def built(name):
    return randomised(MODELS[name][0](), spread=0.15)


def run(path, x):
    return session(path.read_bytes()).run(None, {"x": x})[0]


@studied("name", MODELS, ["gru before", "masked lstm", "layer norm", "minimal gru", "both directions"])
def test_int8(name, tmp_path, op_types):
    model = built(name)
    report = rk.export_onnx(model, tmp_path / "int8.onnx", quantize="int8")
    rk.export_onnx(model, tmp_path / "exact.onnx", verify=False)
    assert MODELS[name][1] in op_types(tmp_path / "int8.onnx")
    assert 0 < report.quantized_error < 0.1 and "with int8 weights" in str(report)
    x = np.random.default_rng(0).normal(size=(2, 9, 3)).astype("float32")
    found, expected = run(tmp_path / "int8.onnx", x), keras.ops.convert_to_numpy(model(x))
    assert 0 < np.max(np.abs(found - expected)) < 0.1 * max(1, np.max(np.abs(expected)))
    assert (tmp_path / "int8.onnx").stat().st_size < 0.8 * (tmp_path / "exact.onnx").stat().st_size


def with_peepholes():
    model = randomised(sequential(rk.Recurrent(rk.cells.PeepholeLSTMCell(U))), spread=0.15)
    for weight in model.weights:
        if "peephole" in weight.path:
            weight.assign(4 * weight)
    return model


def with_states():
    x, h, c = keras.Input((None, 3), name="x"), keras.Input((U,), name="x_h"), keras.Input((U,), name="x_c")
    return randomised(keras.Model([x, h, c], L.LSTM(U)(x, initial_state=[h, c])), spread=0.15)


def last_cell_state():
    """Only the last cell state of an LSTM is read from the operator by the rows' lengths."""
    x = keras.Input((None, 3), name="x")
    return randomised(keras.Model(x, L.LSTM(U, return_state=True)(L.Masking()(x))[2]), spread=0.15)


KEPT = {
    "lengths": (last_cell_state, 4),
    "first h": (with_states, 5),
    "first c": (with_states, 6),
    "peepholes": (with_peepholes, 7),
}


@pytest.mark.parametrize("what", KEPT)
def test_an_lstm_of_int8_reads_all_that_one_of_float32_reads(what, tmp_path):
    (make, slot), rng = KEPT[what], np.random.default_rng(0)
    model = make()
    for name, kind in {"exact": None, "int8": "int8"}.items():
        rk.export_onnx(model, tmp_path / f"{name}.onnx", quantize=kind, max_error=1, verify=kind is not None)
    without = onnx.load(tmp_path / "exact.onnx")
    (node,) = [node for node in without.graph.node if node.op_type == "LSTM"]
    assert node.input[slot]
    node.input[slot] = ""
    x = rng.normal(size=(3, 6, 3)).astype("float32")
    if what == "lengths":
        x[0, 1:] = x[1, 2:] = 0
    feeds = {"x": x} | {name: rng.normal(size=(3, U)).astype("float32") for name in ("x_h", "x_c")}
    files = [(tmp_path / "exact.onnx").read_bytes(), (tmp_path / "int8.onnx").read_bytes(), without]
    exact, rough, other = (answer(session(file), feeds) for file in files)
    assert 0 < 4 * np.mean(np.abs(rough - exact)) < np.mean(np.abs(other - exact))


def answer(graph, feeds):
    return graph.run(None, {value.name: feeds[value.name] for value in graph.get_inputs()})[0]


def test_inputs_that_the_exact_graph_refuses_are_left_out_of_the_error(tmp_path):
    x, mask = keras.Input((None, 3), name="x"), keras.Input((None,), dtype="bool", name="mask")
    model = randomised(keras.Model([x, mask], L.GRU(U)(x, mask=mask)), spread=0.15)
    assert 0 < rk.export_onnx(model, tmp_path / "model.onnx", quantize="int8").quantized_error < 0.1
    calibration = [np.zeros((2, 5, 3)), np.ones((2, 6))]
    with pytest.raises(ExportError, match=r"Keras does not run the model on the data of calibration= .*\[2, 6\]"):
        rk.export_onnx(model, tmp_path / "other.onnx", quantize="int8", calibration=calibration)


def test_a_gru_says_why_it_is_a_scan(tmp_path):
    report = rk.export_onnx(built("gru"), tmp_path / "model.onnx", quantize="int8")
    assert (report.rows[0].lowering, report.rows[0].reason) == ("Scan", "onnxruntime has no GRU of int8 weights")


def test_float16_weights(tmp_path, op_types):
    model = built("gru")
    report = rk.export_onnx(model, tmp_path / "half.onnx", quantize="float16")
    rk.export_onnx(model, tmp_path / "exact.onnx", verify=False)
    assert report.rows[0].lowering == "GRU" and 0 < report.quantized_error < 0.01
    assert (tmp_path / "half.onnx").stat().st_size < 0.6 * (tmp_path / "exact.onnx").stat().st_size
    x = np.random.default_rng(0).normal(size=(2, 9, 3)).astype("float32")
    np.testing.assert_allclose(run(tmp_path / "half.onnx", x), keras.ops.convert_to_numpy(model(x)), atol=0.01)


def test_a_weight_that_float16_cannot_hold_stays_as_it_is(tmp_path):
    model = built("gru")
    kernel, *rest = model.layers[1].get_weights()
    kernel[0, 0] = 1e6
    model.layers[1].set_weights([kernel, *rest])
    rk.export_onnx(model, tmp_path / "model.onnx", quantize="float16")
    kinds = {i.dims[0]: i.data_type for i in onnx.load(tmp_path / "model.onnx").graph.initializer if len(i.dims) == 2}
    assert kinds[U] == onnx.TensorProto.FLOAT


@pytest.mark.parametrize("kind", ["int8", "float16"])
def test_an_error_above_the_bound_is_refused(kind, tmp_path):
    with pytest.raises(ExportError, match=f"With {kind} weights the output .* allowed are 1e-06"):
        rk.export_onnx(built("lstm"), tmp_path / "model.onnx", quantize=kind, max_error=1e-6)
    assert not list(tmp_path.iterdir())


def test_the_error_is_that_on_the_calibration_data(tmp_path):
    model, rng = built("gru"), np.random.default_rng(1)
    x = rng.normal(size=(4, 20, 3)).astype("float32")
    report = rk.export_onnx(model, tmp_path / "model.onnx", quantize="int8", calibration=x)
    rk.export_onnx(model, tmp_path / "exact.onnx", lowering="scan")
    exact = run(tmp_path / "exact.onnx", x)
    error = np.max(np.abs(run(tmp_path / "model.onnx", x) - exact)) / np.max(np.ptp(exact, axis=(0, 1)))
    np.testing.assert_allclose(report.quantized_error, error, rtol=1e-3)
    with pytest.raises(ExportError, match=r"calibration= takes arrays .*: x \[None, None, 3\]. Received: \[4, 20, 2\]"):
        rk.export_onnx(model, tmp_path / "other.onnx", quantize="int8", calibration=x[..., :2])


FORMS = {
    "dict": lambda x: {"x": x},
    "list of batches": lambda x: [x[:2], x[2:]],
    "pairs with targets": lambda x: [(x, x[:, 0])],
    "generator": lambda x: (x[i : i + 2] for i in (0, 2)),
    "tf.data": lambda x: tf.data.Dataset.from_tensor_slices((x, x[:, 0])).batch(2),
}


@pytest.mark.parametrize("form", FORMS)
def test_calibration_data_comes_in_every_form(form):
    model = sequential(L.GRU(4))
    x = np.random.default_rng(1).normal(size=(4, 6, 3)).astype("float32")
    parts = calibration.batches(signature_of(model), FORMS[form](x))
    np.testing.assert_array_equal(np.concatenate([arrays[0] for arrays in parts]), x)


def test_data_without_rows_or_finite_numbers_is_not_measured_on(tmp_path):
    for data in (np.zeros((0, 5, 3)), np.full((2, 5, 3), np.nan)):
        report = rk.export_onnx(built("gru"), tmp_path / "model.onnx", quantize="int8", calibration=data)
        assert "no batch with rows of finite numbers" in str(report) and report.quantized_error > 0


def test_a_layer_that_keeps_its_weights_is_not_reported_as_int8(tmp_path):
    model = randomised(sequential(L.GRU(8, return_sequences=True, dtype="float64", name="wide"), L.LSTM(8)))
    report = rk.export_onnx(model, tmp_path / "model.onnx", quantize="int8", max_error=1)
    assert [row.weights for row in report.rows] == ["float64", "int8"]
    assert "The weights of 'wide' stay in float64." in report.notes


def test_an_unknown_kind(tmp_path):
    with pytest.raises(ExportError, match="Received: quantize='int4'. Expected one of 'int8', 'float16'"):
        rk.export_onnx(built("gru"), tmp_path / "model.onnx", quantize="int4")


def test_a_bundle_has_both(tmp_path):
    model = randomised(
        sequential(L.Embedding(20, 16), L.GRU(U, return_sequences=True), L.Dense(20), shape=(None,), dtype="int32"),
        spread=0.15,
    )
    modes = ["sequence", "stream", "generate"]
    report = rk.export_bundle(model, tmp_path / "bundle", modes=modes, quantize="int8", saved_model=False, end=0)
    graphs = json.loads((tmp_path / "bundle" / "manifest.json").read_text())["graphs"]
    for mode in modes:
        known = graphs[mode]["quantized"]["int8"]
        assert known["error"] == report.quantized[mode].quantized_error > 0
        assert known["file"].endswith(".int8.onnx") and (tmp_path / "bundle" / known["file"]).exists()
    exact, rough = rk.runtime.load(tmp_path / "bundle"), rk.runtime.load(tmp_path / "bundle", quantized="int8")
    x = np.random.default_rng(0).integers(0, 20, size=(2, 7))
    assert 0 < np.max(np.abs(exact.predict(x) - rough.predict(x))) < 0.1
    stream = rough.stream(rows=2)
    parts = [stream.push(x[:, :3]), stream.push(x[:, 3:])]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), rough.predict(x), atol=0.05)
    assert rough.generate([1, 2], steps=5).tokens.shape[0] == 1


def test_a_token_loop_around_an_lstm_of_int8(tmp_path):
    """DynamicQuantizeLSTM is onnxruntime's own, and stands inside a Loop here."""
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    y = L.Dense(14)(rk.LSTM(32, return_sequences=True)(L.Embedding(14, 8)(tokens)))
    model = randomised(keras.Model(tokens, y))
    rk.export_onnx(model, tmp_path / "model.onnx", mode="generate", quantize="int8", max_error=10)
    graph = rk.runtime.Graph(tmp_path / "model.onnx")
    feeds = {"tokens": [[1, 2]], "noise": np.full((1, 4), 0.5, "float32")}
    found = graph.run({**feeds, "temperature": 1.0, "top_k": 0, "top_p": 1.0})
    assert found["generated"].shape == (1, 4)

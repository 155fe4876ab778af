"""Which lowering is chosen, why, and that a wrong one cannot pass."""

import keras
import numpy as np
import onnx
import onnxruntime
import pytest

import keras_rnnkit as rk
from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.lowering import operators as lowering
from keras_rnnkit.export.lowering.operators import LoweringContext, built, gru, lstm, rnn
from tests.covering import studied
from tests.export.conftest import randomised
from tests.export.table import CASES, sequential

cells, L = rk.cells, keras.layers

REFUSALS = {
    "ONNX's LSTM has no activation 'gelu'": (lambda: cells.LSTMCell(4, activation="gelu"), LoweringContext()),
    "softplus overflows inside onnxruntime's GRU": (
        lambda: cells.GRUCell(4, activation="softplus"),
        LoweringContext(),
    ),
    "ONNX's LSTM has no projection of its output": (lambda: cells.LSTMCell(4, projection=2), LoweringContext()),
    "LayerNormLSTMCell is not the equation of ONNX's LSTM": (lambda: cells.LayerNormLSTMCell(4), LoweringContext()),
    "ONNX's GRU cannot start a row anew inside a sequence": (lambda: cells.GRUCell(4), LoweringContext(resets=True)),
    "onnxruntime runs its GRU in float32, and this layer computes in float64": (
        lambda: cells.GRUCell(4),
        LoweringContext(dtype=np.dtype(np.float64)),
    ),
    "ZoneoutCell changes more than the projected input, which ONNX's GRU has no place for": (
        lambda: cells.ZoneoutCell(cells.GRUCell(4)),
        LoweringContext(),
    ),
    "1 - softsign is no gate of ONNX's LSTM": (
        lambda: cells.CoupledLSTMCell(4, recurrent_activation="softsign"),
        LoweringContext(),
    ),
    "lowering='scan' was asked for": (lambda: cells.VanillaCell(4), LoweringContext(prefer="scan")),
    "onnxruntime's RNN operator is slower than a Scan from 4 rows on, and batch=32; lowering='native' takes it all the "
    "same": (lambda: cells.VanillaCell(4), LoweringContext(batch=32)),
}


@pytest.mark.parametrize("sentence", REFUSALS)
def test_a_scan_says_why_it_is_one(sentence):
    cell, context = REFUSALS[sentence]
    choice = lowering.choose(built(cell(), 3), context)
    assert (choice.name, choice.reason) == ("Scan", sentence)


def test_a_linear_cell_is_one_product_and_one_sum_a_step(tmp_path):
    """All else is outside the loop, and nothing but the choice of the general Scan puts it there."""
    model = randomised(sequential(rk.Recurrent(cells.MinGRUCell(4), return_sequences=True)))
    bodies = {}
    for prefer in ("auto", "scan"):
        report = rk.export_onnx(model, tmp_path / f"{prefer}.onnx", lowering=prefer)
        (loop,) = [node for node in onnx.load(tmp_path / f"{prefer}.onnx").graph.node if node.op_type == "Scan"]
        bodies[report.rows[0].lowering] = [node.op_type for node in loop.attribute[0].g.node]
    assert set(bodies["Linear"]) == {"Mul", "Add", "Identity"}
    assert "Sigmoid" in bodies["Scan"]


@pytest.mark.parametrize("batch, prefer, name", [(1, "auto", "RNN"), (4, "auto", "Scan"), (4, "native", "RNN")])
def test_the_batch_decides_between_operator_and_scan(batch, prefer, name, tmp_path):
    model = sequential(L.SimpleRNN(4))
    report = rk.export_onnx(model, tmp_path / "model.onnx", batch=batch, lowering=prefer, verify=False)
    assert report.rows[0].lowering == name


def test_a_batch_said_by_the_model_decides_too(tmp_path):
    report = rk.export_onnx(sequential(L.SimpleRNN(4), batch_size=16), tmp_path / "model.onnx", verify=False)
    assert report.rows[0].lowering == "Scan"


@pytest.mark.parametrize(("layer", "scale"), [(rk.GRU, 1e4), (rk.VanillaRNN, 100.0)])
def test_softplus_of_large_inputs_is_finite(layer, scale, tmp_path, rng):
    model = sequential(layer(4, activation="softplus", return_sequences=True))
    rk.export_onnx(model, tmp_path / "model.onnx")
    x = (rng.normal(size=(2, 5, model.input_shape[-1])) * scale).astype("float32")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (found,) = session.run(None, {session.get_inputs()[0].name: x})
    np.testing.assert_allclose(found, keras.ops.convert_to_numpy(model(x)), rtol=1e-4, atol=1e-5)


class OwnGatesCell(cells.LSTMCell):
    """An LSTM with one gate changed by somebody."""

    def gates(self, ops, w, z, r, state):
        _, (h, c) = super().gates(ops, w, z, r, state)
        h = 0.5 * h
        return h, [h, c]


def test_a_subclass_with_other_gates_is_not_taken_for_its_base(tmp_path):
    model = randomised(sequential(rk.Recurrent(OwnGatesCell(4))))
    report = rk.export_onnx(model, tmp_path / "model.onnx")
    assert report.rows[0].lowering == "Scan" and report.error < 1e-5


def relu(x):
    """Not Keras' relu, though called like it."""
    return keras.ops.maximum(x, 0.0) * 2.0


@studied("layer", [L.LSTM, rk.LSTM], [rk.LSTM])
def test_a_function_called_like_one_of_keras_is_not_taken_for_it(layer, tmp_path):
    model = randomised(sequential(layer(4, activation=relu)))
    report = rk.export_onnx(model, tmp_path / "model.onnx")
    assert report.rows[0].lowering == "as traced" and "'relu' of LSTMCell has no equation" in report.rows[0].reason


SWAPS = {
    "lstm": (lstm, lambda shape: swapped(lstm_form(shape), 4, 0, 1), lambda: L.LSTM(4)),
    "lstm-2-3": (lstm, lambda shape: swapped(lstm_form(shape), 4, 2, 3), lambda: L.LSTM(4)),
    "gru": (gru, lambda shape: swapped(gru_form(shape), 3, 0, 1), lambda: L.GRU(4)),
    "peephole": (
        lstm,
        lambda shape: peepholes_swapped(lstm_form(shape)),
        lambda: rk.Recurrent(cells.PeepholeLSTMCell(4)),
    ),
}
lstm_form, gru_form = lstm.operator_weights, gru.operator_weights


def swapped(form, count, a, b):
    """Two gates of the recurrent kernel exchanged."""
    kernel, recurrent, bias, peepholes = form
    parts = np.split(recurrent, count, axis=1)
    parts[a], parts[b] = parts[b], parts[a]
    return kernel, np.concatenate(parts, axis=1), bias, peepholes


def peepholes_swapped(form):
    *rest, peepholes = form
    a, b, c = np.split(peepholes, 3, axis=1)
    return *rest, np.concatenate([a, c, b], axis=1)


@studied("name", SWAPS, ["lstm-2-3", "gru", "peephole"])
def test_swapped_gates_turn_the_export_red_and_name_the_layer(name, tmp_path, monkeypatch):
    module, form, layer = SWAPS[name]
    model = randomised(keras.Sequential([keras.Input((None, 3)), L.Dense(3), layer(), L.Dense(2)]))
    culprit = model.layers[1].name
    monkeypatch.setattr(module, "operator_weights", form)
    with pytest.raises(ExportError, match=f"not exact.*It begins in the layer '{culprit}', whose output differs by"):
        rk.export_onnx(model, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_of_two_layers_the_one_that_is_wrong_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(gru, "operator_weights", SWAPS["gru"][1])
    model = randomised(sequential(L.LSTM(4, return_sequences=True, name="good"), L.GRU(4, name="bad")))
    with pytest.raises(ExportError, match="It begins in the layer 'bad'"):
        rk.export_onnx(model, tmp_path / "model.onnx")


def test_the_table_of_models_has_every_lowering_and_every_cell():
    lowerings = {name for case in CASES.values() for row in case.lowerings for name in row.split(", ")}
    assert lowerings >= set(lowering.TABLE)
    missing = {value for value in vars(cells).values() if isinstance(value, type) and issubclass(value, cells.Cell)}
    missing -= {cells.Cell, cells.GatedCell, cells.InputWeightsCell, cells.LinearCell, cells.WrapperCell}
    for name in [name for name in CASES if name.startswith(("cell-", "conditioned-")) and "backwards" not in name]:
        missing -= set(map(type, cells_in(CASES[name].build())))
    assert not missing


def cells_in(model):
    return [layer for layer in model._flatten_layers() if isinstance(layer, cells.Cell)]


def test_vanilla_says_for_whom_it_is_fast():
    assert "up to three rows" in rnn.REASON

"""Names, axes, states, the report: what a user of a file sees of it."""

import itertools
import json

import keras
import numpy as np
import onnx
import pytest

import keras_rnnkit as rk
from keras_rnnkit.export.checking.sessions import session
from tests.covering import studied
from tests.export.conftest import randomised
from tests.export.table import sequential

L = keras.layers


def names(path):
    graph = onnx.load(path).graph
    return [i.name for i in graph.input], [o.name for o in graph.output]


def test_the_models_names_are_kept(exported):
    _, path, report = exported("dict_inputs_and_outputs")
    assert names(path) == (["values", "words"], ["amount", "label"])
    assert report.inputs == {"values": ["batch", "values_time", 2], "words": ["batch", "words_time"]}
    assert report.outputs == {"amount": ["batch", 1], "label": ["batch", 3]}


def test_axes_are_named_after_the_inputs_they_follow(exported):
    _, _, report = exported("lstm-initial_state")
    assert report.outputs == {"logits": ["batch", "target_time", 3]}
    _, _, report = exported("lstm-return_state")
    assert list(report.outputs.values()) == [["batch", "time", 4], ["batch", 4], ["batch", 4]]


def test_an_axis_that_follows_no_input_has_a_name_of_its_own(tmp_path):
    model = sequential(L.Conv1D(3, 3), L.GRU(4, return_sequences=True, name="y"))
    report = rk.export_onnx(model, tmp_path / "model.onnx")
    assert report.outputs == {"y": ["batch", "y_axis_1", 4]}


def test_several_outputs_of_one_layer_are_numbered(exported):
    _, path, _ = exported("lstm-return_state")
    _, (first, *rest) = names(path)
    assert rest == [f"{first}_1", f"{first}_2"]


def test_other_names_can_be_given(tmp_path):
    rk.export_onnx(sequential(L.GRU(4)), tmp_path / "model.onnx", input_names=["series"])
    assert names(tmp_path / "model.onnx")[0] == ["series"]


def test_an_output_called_like_an_input_gets_a_number(tmp_path):
    x = keras.Input((None, 3), name="x")
    model = keras.Model(x, {"x": L.GRU(4)(x)})
    rk.export_onnx(model, tmp_path / "model.onnx")
    assert names(tmp_path / "model.onnx") == (["x"], ["x_1"])


def test_a_model_that_hands_on_an_input(tmp_path):
    x = keras.Input((None, 3), name="x")
    rk.export_onnx(keras.Model(x, {"copy": x, "y": L.GRU(4)(x)}), tmp_path / "model.onnx")
    series = np.ones((2, 4, 3), "float32")
    copy, _ = session((tmp_path / "model.onnx").read_bytes()).run(None, {"x": series})
    np.testing.assert_array_equal(copy, series)


def test_states_of_a_stateful_model_are_inputs_and_outputs(exported):
    model, path, report = exported("our_lstm-stateful")
    assert report.states == [(f"state_{i}", f"next_state_{i}") for i in range(4)]
    properties = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    state = json.loads(properties["keras_rnnkit.states"])[0]
    assert (state["input"], state["output"], state["shape"]) == ("state_0", "next_state_0", [4])
    runner = session(path.read_bytes())
    states = {
        given: np.zeros(runner.get_inputs()[i + 1].shape, "float32") for i, (given, _) in enumerate(report.states)
    }
    model.layers[0].reset_state(), model.layers[1].reset_state()
    for chunk in np.random.default_rng(0).normal(size=(3, 2, 5, 3)).astype("float32"):
        y, *after = runner.run(None, {"x": chunk, **states})
        states = {given: value for (given, _), value in zip(report.states, after, strict=True)}
        np.testing.assert_allclose(y, keras.ops.convert_to_numpy(model(chunk)), atol=1e-5)


def test_exporting_changes_no_state_of_the_model(tmp_path):
    model = randomised(sequential(L.GRU(4, stateful=True), batch_size=2))
    before = [np.array(state) for state in model.layers[0].states]
    rk.export_onnx(model, tmp_path / "model.onnx")
    for a, b in zip(before, model.layers[0].states, strict=True):
        np.testing.assert_array_equal(a, np.array(b))


def test_the_report_prints_as_a_table(exported):
    _, path, report = exported("our_cells_in_one_layer_masked")
    lines = str(report).splitlines()
    assert lines[0].split() == ["layer", "lowering", "nodes", "error", "reason"]
    assert "GRU, Scan" in lines[2] and "ONNX's LSTM has no projection of its output" in lines[3]
    assert str(path) in lines[4] and "opset 18" in lines[4]
    assert json.loads(json.dumps(report.to_dict()))["rows"][0]["lowering"] == "GRU, Scan"


def test_a_shared_layers_calls_are_numbered(exported):
    _, _, report = exported("shared_layer")
    assert [row.layer for row in report.rows] == ["reader", "reader#2"]


def test_layers_with_the_same_mask_share_what_it_takes(exported, op_types):
    _, path, _ = exported("lstm-masking")
    assert op_types(path).count("CumSum") == 1


def test_a_shared_layers_weights_are_written_once(exported):
    _, path, _ = exported("shared_layer")
    shapes = [tuple(i.dims) for i in onnx.load(path).graph.initializer]
    assert shapes.count((1, 16, 4)) == 1


def test_mixed_precision_is_noted(exported):
    _, path, report = exported("mixed_precision")
    assert "16 bits" in report.notes[0]
    assert {i.type.tensor_type.elem_type for i in onnx.load(path).graph.output} == {onnx.TensorProto.FLOAT}


def test_mixed_precision_is_as_it_was_afterwards(exported):
    model, _, _ = exported("mixed_precision")
    assert {layer.compute_dtype for layer in model.layers} == {"float16"}


MASKED = ["lstm-masking", "cell-layernorm", "gru_before-tokens", "resets_masked"]


@studied(
    "name, opset",
    itertools.product(MASKED, [13, 15, 17]),
    [("cell-layernorm", 15), ("lstm-masking", 17), ("resets_masked", 13)],
)
def test_other_opsets(name, opset, exported):
    _, path, report = exported(name, opset=opset)
    assert report.error < 1e-5
    assert {o.version for o in onnx.load(path).opset_import if o.domain == ""} == {opset}


def test_keras_is_left_as_it_was(exported):
    exported("lstm-last")
    assert keras.layers.RNN.inner_loop.__module__ == "keras.src.layers.rnn.rnn"
    assert keras.layers.TimeDistributed.call.__module__ == "keras.src.layers.rnn.time_distributed"


def test_layer_normalisation_is_one_operator(exported, op_types):
    _, path, _ = exported("cell-layernorm")
    assert op_types(path).count("LayerNormalization") == 6 and "ReduceMean" not in op_types(path)


def test_a_layer_norm_that_is_none_is_left_alone(tmp_path, op_types):
    class Almost(rk.cells.LayerNormLSTMCell):
        def recur(self, ops, w, h):
            r = ops.matmul(h, w.recurrent_kernel)
            centred = r - ops.mean(r, keepdims=True)
            deviation = ops.sqrt(ops.mean(r * r, keepdims=True) + self.epsilon)
            return centred / deviation * w.recurrent_gain

    model = randomised(sequential(rk.Recurrent(Almost(4))))
    report = rk.export_onnx(model, tmp_path / "model.onnx")
    assert report.error < 1e-5 and op_types(tmp_path / "model.onnx").count("LayerNormalization") == 2


def test_times_beside_keras_own_export_if_asked(tmp_path):
    model = sequential(L.GRU(4))
    report = rk.export_onnx(model, tmp_path / "model.onnx", compare=True)
    assert "of Keras' own export" in str(report) and "times as long" in report.latency
    assert rk.export_onnx(model, tmp_path / "model.onnx").latency is None
    with pytest.raises(ValueError, match="compare=True with mode='stream'"):
        rk.export_onnx(model, tmp_path / "model.onnx", compare=True, mode="stream")

"""`rnnkit export` and `rnnkit inspect`."""

import keras
import numpy as np
import pytest

import keras_rnnkit as rk
from tests.test_cli import rnnkit

L = keras.layers


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Files of a model that can stream and of one that cannot."""
    folder = tmp_path_factory.mktemp("models")
    x = keras.Input((None, 3), name="x")
    keras.Model(x, rk.GRU(4, return_sequences=True, name="memory")(x)).save(folder / "causal.keras")
    keras.Model(x, L.Bidirectional(L.LSTM(2), name="both")(x)).save(folder / "both.keras")
    return folder


def test_a_bundle(saved, tmp_path):
    done = rnnkit("export", saved / "causal.keras", tmp_path / "out", "--stream", "--no-saved-model")
    assert done.exit_code == 0, done.output
    assert "sequence: tracing" in done.stderr and "stream: verifying" in done.stderr
    assert "memory" in done.stdout and "GRU" in done.stdout
    x = np.ones((1, 2, 3), "float32")
    bundle = rk.runtime.load(tmp_path / "out")
    np.testing.assert_allclose(bundle.stream().push(x), bundle.predict(x), atol=1e-6)
    seen = rnnkit("inspect", tmp_path / "out")
    assert seen.exit_code == 0
    for words in (
        "every file is the one that was written",
        "takes state_0  [batch, 4]",
        "layer memory: GRU",
        "keras 3",
    ):
        assert words in seen.output


def test_one_file(saved, tmp_path):
    whole = rnnkit("export", saved / "causal.keras", tmp_path / "whole.onnx", "--compare")
    assert "of Keras' own export" in whole.stdout
    assert rnnkit("export", saved / "causal.keras", tmp_path / "step.onnx", "--stream").exit_code == 0
    seen = rnnkit("inspect", tmp_path / "step.onnx").output
    assert seen.startswith("step.onnx: stream, ") and "1 GRU" in seen
    assert "state_0 becomes next_state_0: layer memory, begins with zeros" in seen


@pytest.mark.parametrize("name", ["out", "out.onnx"])
def test_a_refusal_is_a_sentence(saved, tmp_path, name):
    done = rnnkit("export", saved / "both.keras", tmp_path / name, "--stream")
    assert done.exit_code == 1
    assert "cannot be streamed: the layer 'both/backward_lstm" in done.stderr
    assert not list(tmp_path.iterdir())


def test_files_that_are_not_there(tmp_path):
    assert rnnkit("export", tmp_path / "no.keras", tmp_path / "out").exit_code == 2
    done = rnnkit("inspect", tmp_path / "out")
    assert (done.exit_code, done.output) == (2, f"There is no file or folder {tmp_path / 'out'}.\n")


def test_a_folder_that_is_no_bundle(tmp_path):
    done = rnnkit("inspect", tmp_path)
    assert done.exit_code == 1 and "it has no manifest.json" in done.output


def test_an_option_out_of_range(saved, tmp_path):
    done = rnnkit("export", saved / "causal.keras", tmp_path / "a.onnx", "--lowering", "fast")
    assert done.exit_code == 1 and "Received: lowering='fast'" in done.output


def test_a_foreign_onnx_file(tmp_path):
    onnx = pytest.importorskip("onnx", reason="Needs onnx: pip install 'keras-rnnkit[export]'")
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n"])
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Neg", ["x"], ["y"])],
        "g",
        [value],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n"])],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, tmp_path / "other.onnx")
    assert "takes x  float32[n]" in rnnkit("inspect", tmp_path / "other.onnx").output


def test_the_token_loop(tmp_path):
    x = keras.Input((None,), dtype="int32", name="tokens")
    y = L.Dense(9, name="scores")(rk.GRU(4, return_sequences=True)(L.Embedding(9, 3)(x)))
    keras.Model(x, y).save(tmp_path / "lm.keras")
    out = tmp_path / "out"
    done = rnnkit("export", tmp_path / "lm.keras", out, "--stream", "--generate", "--end", 2, "--no-saved-model")
    assert done.exit_code == 0, done.output
    assert (rk.runtime.load(out).generate([1, 3], steps=4, seed=1).tokens < 9).all()
    both = rnnkit("export", tmp_path / "lm.keras", tmp_path / "a.onnx", "--stream", "--generate")
    assert both.exit_code == 2 and "Choose --stream or --generate" in both.stderr
    rnnkit("export", tmp_path / "lm.keras", tmp_path / "a.onnx", "--generate", "--strategy", "beam")
    assert "gives generated  [batch, 4, generated_time]" in rnnkit("inspect", tmp_path / "a.onnx").output


def test_weights_in_fewer_bits(saved, tmp_path):
    np.savez(tmp_path / "data.npz", x=np.ones((2, 5, 3), "float32"))
    out = tmp_path / "out"
    done = rnnkit(
        "export", saved / "causal.keras", out, "--int8", "--calibration", tmp_path / "data.npz", "--no-saved-model"
    )
    assert done.exit_code == 0, done.output
    assert "int8: sequence.int8.onnx" in rnnkit("inspect", out).output
    assert rnnkit("export", saved / "causal.keras", out, "--int8", "--float16").exit_code == 2
    (tmp_path / "no.npz").write_text("no")
    bad = rnnkit("export", saved / "causal.keras", out, "--int8", "--calibration", tmp_path / "no.npz")
    assert bad.exit_code == 2 and "is no .npz file of arrays" in bad.stderr

"""SavedModels: plain TensorFlow loads them, whole sequences and streams give what Keras gives."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

import keras_rnnkit as rk
from keras_rnnkit.export import saved_model
from keras_rnnkit.export.errors import ExportError
from tests.covering import studied
from tests.export.conftest import randomised
from tests.export.table import CASES, sequential
from tests.export.test_stream import STREAMS
from tests.forking import python

L = keras.layers

ALONE = """
import json, sys
sys.modules["keras_rnnkit"] = None  # importing it is an error
import numpy as np
import tensorflow as tf
known = np.load(sys.argv[2])
loaded = tf.saved_model.load(sys.argv[1])
np.testing.assert_allclose(loaded.serve(known["x"]), known["y"], atol=1e-5)
step, states = loaded.signatures["stream"], {}
for name, spec in step.structured_input_signature[1].items():
    if name.startswith("state_"):
        states[name] = tf.zeros([len(known["x"]), *spec.shape[1:]])
parts = []
for t in range(known["x"].shape[1]):
    found = step(x=tf.constant(known["x"][:, t : t + 1]), **states)
    states = {name: found["next_" + name] for name in states}
    parts.append(found["out"].numpy())
np.testing.assert_allclose(np.concatenate(parts, axis=1), known["y"], atol=1e-5)
print("loaded, served and streamed")
"""


def operations(path):
    message = SavedModel.FromString((path / "saved_model.pb").read_bytes())
    graph = message.meta_graphs[0].graph_def
    return {node.op for node in graph.node} | {node.op for f in graph.library.function for node in f.node_def}


def test_it_serves_without_keras_rnnkit(tmp_path):
    model = randomised(
        sequential(
            L.Conv1D(3, 2, padding="causal"),
            rk.LSTM(4, return_sequences=True),
            rk.Recurrent(rk.cells.LayerNormLSTMCell(4), return_sequences=True),
            L.Dense(2, name="out"),
        )
    )
    report = rk.export_saved_model(model, tmp_path / "model")
    assert report.signatures == ["sequence", "stream"] and report.error < 1e-5
    x = np.random.default_rng(0).normal(size=(3, 6, 3)).astype("float32")
    np.savez(tmp_path / "known.npz", x=x, y=model(x))
    done = python("-W", "ignore", "-c", ALONE, tmp_path / "model", tmp_path / "known.npz", cwd=tmp_path)
    assert done.stdout.strip() == "loaded, served and streamed", done.stderr


@studied(
    "name",
    ["lstm-masking", "our_gru-tokens", "our_lstm-stateful", "dict_inputs_and_outputs"],
    ["dict_inputs_and_outputs"],
)
def test_models_are_verified(name, tmp_path):
    report = rk.export_saved_model(randomised(CASES[name].build()), tmp_path / "model")
    assert report.error < 1e-5
    assert not {op for op in operations(tmp_path / "model") if "Cudnn" in op or "PyFunc" in op}


@pytest.mark.study  # a stream is served without keras_rnnkit above
@pytest.mark.parametrize("name", ["masking", "causal convolution", "masked tokens"])
def test_streams_are_verified(name, tmp_path):
    report = rk.export_saved_model(randomised(STREAMS[name].build()), tmp_path / "model")
    assert report.signatures == ["sequence", "stream"] and report.error < 1e-5


def test_it_says_why_there_is_no_stream(tmp_path):
    model = sequential(L.Bidirectional(L.GRU(2), name="both"))
    report = rk.export_saved_model(model, tmp_path / "model", verify=False)
    assert report.signatures == ["sequence"]
    assert "'both/backward_gru" in str(report) and "reads the sequence from its end" in str(report)


def test_a_stateful_model_takes_its_states_as_inputs(tmp_path):
    model = randomised(sequential(rk.GRU(4, stateful=True, name="out"), batch_size=2))
    rk.export_saved_model(model, tmp_path / "model")
    loaded = tf.saved_model.load(tmp_path / "model")
    assert not hasattr(loaded, "serve")
    x = np.random.default_rng(0).normal(size=(2, 3, 3)).astype("float32")
    start = tf.constant(np.random.default_rng(1).normal(size=(2, 4)).astype("float32"))
    found = loaded.signatures["sequence"](x=x, state_0=start)
    np.testing.assert_allclose(found["out"], model.layers[0](x, initial_state=start), atol=1e-6)


def test_a_difference_is_an_error_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(
        saved_model.Plain, "run_recurrence", lambda self, layer, name, original, x, *_: (x[:, -1], x, [x[:, -1]])
    )
    with pytest.raises(
        ExportError, match="The SavedModel is not exact.*'sequence' the output 'out' differs.*layer 'out'"
    ):
        rk.export_saved_model(randomised(sequential(L.GRU(3, name="out"))), tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_a_folder_with_other_things_is_not_replaced(tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "mother.txt").write_text("Dear")
    with pytest.raises(ExportError, match="holds other things and no saved_model"):
        rk.export_saved_model(sequential(L.GRU(2)), tmp_path / "letters")
    assert (tmp_path / "letters" / "mother.txt").read_text() == "Dear"


def test_an_earlier_export_is_replaced(tmp_path):
    for seed in (1, 2):
        model = randomised(sequential(L.GRU(3)), seed=seed)
        rk.export_saved_model(model, tmp_path / "model", verify=False)
    x = np.random.default_rng(0).normal(size=(2, 3, 3)).astype("float32")
    loaded = tf.saved_model.load(tmp_path / "model")
    np.testing.assert_allclose(loaded.serve(x), model(x), atol=1e-6)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]

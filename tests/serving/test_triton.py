"""The doors to other servers: a Triton repository, by Triton's own schema."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from keras_rnnkit.cli import app
from keras_rnnkit.runtime import BundleError, Graph
from keras_rnnkit.serving.settings import SettingsError, TritonSettings
from keras_rnnkit.serving.triton import MARK, write


def read(folder):
    schema = pytest.importorskip(
        "tritonclient.grpc.model_config_pb2", reason="Needs Triton's client: keras-rnnkit[test]"
    )
    from google.protobuf import text_format

    return text_format.Parse((folder / "config.pbtxt").read_text(), schema.ModelConfig())


def test_a_triton_repository(bundles, tmp_path):
    step, whole = write(TritonSettings(bundle=bundles / "writer", repository=tmp_path))
    assert (step.name, whole.name) == ("writer", "writer_whole")
    config = read(step)
    assert config.name == "writer" and config.platform == "onnxruntime_onnx" and config.max_batch_size == 64
    assert [(i.name, list(i.dims)) for i in config.input] == [("tokens", [-1])]
    assert [(o.name, list(o.dims)) for o in config.output] == [("logits", [-1, 14])]
    states = config.sequence_batching.state
    names = [state.input_name for state in states]
    assert names == sorted(names) == ["state_0", "state_1"]
    assert [state.output_name for state in states] == ["next_state_0", "next_state_1"]
    assert all(list(state.dims) == [8] and state.initial_state[0].zero_data for state in states)
    graph = Graph(step / "1" / "model.onnx")
    known = {i.name for i in config.input} | {state.input_name for state in states}
    assert known == set(graph.shapes)
    assert not read(whole).HasField("sequence_batching")
    write(TritonSettings(bundle=bundles / "writer", repository=tmp_path))  # again, in its place
    assert sorted(path.name for path in tmp_path.iterdir()) == ["writer", "writer_whole"]


def test_states_that_do_not_begin_with_zeros(tmp_path, rng):
    import keras

    import keras_rnnkit as rk

    x = keras.Input((None, 2), name="x")
    model = keras.Model(x, rk.GRU(3, return_sequences=True, learn_initial_state=True)(x))
    for weight in model.weights:
        weight.assign(rng.normal(size=weight.shape))
    rk.export_bundle(model, tmp_path / "b", modes=["stream"], saved_model=False, verify=False)
    (folder,) = write(TritonSettings(bundle=tmp_path / "b", repository=tmp_path / "r", name="learned"))
    (state,) = read(folder).sequence_batching.state
    start = np.frombuffer((folder / "initial_state" / state.initial_state[0].data_file).read_bytes(), "float32")
    assert start.shape == (3,) and np.abs(start).min() > 0


@pytest.mark.parametrize("name", ["../precious", ".", "..", "/tmp/precious", "a/b", "-x", "a\\b", ".hidden"])
def test_names_that_leave_the_repository(bundles, tmp_path, name):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work")
    with pytest.raises(SettingsError, match="The name of a model must be"):
        write(TritonSettings(bundle=bundles / "series", repository=tmp_path / "models", name=name))
    assert (precious / "thesis.txt").read_text() == "years of work" and not (tmp_path / "models").exists()


def test_the_name_in_a_manifest_is_checked_too(copied, tmp_path):
    path = copied / "series" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "name": "../precious"}))
    with pytest.raises((SettingsError, BundleError)):
        write(TritonSettings(bundle=copied / "series", repository=tmp_path / "models"))


def somebody_elses(folder):
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "model.onnx").write_bytes(b"theirs")
    (folder / "config.pbtxt").write_text('name: "series"\n')


def ours_with_another_version(folder):
    (folder / "2").mkdir(parents=True)
    (folder / "2" / "model.onnx").write_bytes(b"theirs")
    (folder / "config.pbtxt").write_text(f"{MARK}\n")


def empty(folder):
    folder.mkdir(parents=True)


def a_file(folder):
    folder.parent.mkdir(parents=True)
    folder.write_text("theirs")


def a_link(folder):
    folder.parent.mkdir(parents=True)
    folder.symlink_to(folder.parent.parent)


@pytest.mark.parametrize("there", [somebody_elses, ours_with_another_version, empty, a_file, a_link])
@pytest.mark.parametrize("which", ["series", "series_whole"])
def test_what_exists_is_left_alone(bundles, tmp_path, there, which):
    folder = tmp_path / "models" / which
    there(folder)
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    with pytest.raises(SettingsError, match="Nothing was changed"):
        write(TritonSettings(bundle=bundles / "series", repository=tmp_path / "models"))
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before


def test_the_command_says_why(bundles, tmp_path):
    somebody_elses(tmp_path / "series")
    done = CliRunner().invoke(app, ["triton", str(bundles / "series"), str(tmp_path)])
    assert done.exit_code == 2 and "was not written by rnnkit triton" in done.output


def test_an_encoder_and_a_decoder(view_bundles, tmp_path):
    """Their graph with the token loop is one model, whose single numbers Triton sends as lists of one."""
    (folder,) = write(TritonSettings(bundle=view_bundles / "translator", repository=tmp_path / "models"))
    config, graph = read(folder), Graph(folder / "1" / "model.onnx")
    assert folder.name == "translator" and config.max_batch_size == 0
    assert {i.name for i in config.input} == set(graph.inputs) and len(config.output) == len(graph.outputs)
    dims = {i.name: list(i.dims) for i in config.input}
    assert dims["source"] == [-1, -1] and dims["steps"] == [1]
    assert config.input[[i.name for i in config.input].index("steps")].HasField("reshape")

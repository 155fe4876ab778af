"""The doors to other servers: a Triton repository, by Triton's own schema."""

import numpy as np
import pytest

from keras_rnnkit.runtime import Graph
from keras_rnnkit.serving.settings import TritonSettings
from keras_rnnkit.serving.triton import write


def read(folder):
    schema = pytest.importorskip("tritonclient.grpc.model_config_pb2")
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
    rk.export_bundle(model, tmp_path / "b", modes=["stream"], saved_model=False)
    (folder,) = write(TritonSettings(bundle=tmp_path / "b", repository=tmp_path / "r", name="learned"))
    (state,) = read(folder).sequence_batching.state
    start = np.frombuffer((folder / "initial_state" / state.initial_state[0].data_file).read_bytes(), "float32")
    assert start.shape == (3,) and np.abs(start).min() > 0

"""Another people's client, tritonclient, against our server."""

import itertools

import numpy as np
import pytest

triton = pytest.importorskip("tritonclient.http", reason="Needs Triton's client: pip install 'keras-rnnkit[test]'")
from tritonclient.utils import InferenceServerException  # noqa: E402

from tests.serving.conftest import running  # noqa: E402


@pytest.fixture
def client(address):
    client = triton.InferenceServerClient(address)
    yield client
    client.close()


def tensor(name, array, binary=True):
    kinds = {"float32": "FP32", "int32": "INT32", "int64": "INT64"}
    found = triton.InferInput(name, list(array.shape), kinds[array.dtype.name])
    found.set_data_from_numpy(array, binary_data=binary)
    return found


def test_health_and_metadata(client):
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("series")
    assert client.get_server_metadata()["name"] == "keras-rnnkit"
    assert client.get_model_metadata("series")["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, -1, 3]}]
    assert client.get_model_config("series")["input"][0]["data_type"] == "TYPE_FP32"
    assert {row["name"] for row in client.get_model_repository_index()} == {"series", "whole", "writer"}


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_infer(client, loaded, rng, binary_in, binary_out):
    x = rng.normal(size=(2, 7, 3)).astype("float32")
    outputs = [triton.InferRequestedOutput("y", binary_data=binary_out)]
    found = client.infer("series", [tensor("x", x, binary_in)], outputs=outputs, request_id="seven")
    np.testing.assert_allclose(found.as_numpy("y"), loaded("series").predict(x), atol=1e-6)
    assert found.get_response()["id"] == "seven"
    np.testing.assert_allclose(client.infer("series", [tensor("x", x)]).as_numpy("y"), found.as_numpy("y"), atol=1e-6)


@pytest.mark.parametrize("name", ["series", "writer"])
def test_a_sequence_in_pieces_is_the_whole(client, loaded, rng, name):
    bundle = loaded(name)
    x = (
        rng.normal(size=(1, 12, 3)).astype("float32")
        if name == "series"
        else rng.integers(0, 5, (1, 12)).astype("int32")
    )
    (given,), (wanted,) = bundle.sequence.inputs, bundle.sequence.outputs
    parts, cuts = [], [0, 1, 4, 5, 12]
    for begin, end in itertools.pairwise(cuts):
        how = {"sequence_id": 99, "sequence_start": begin == 0, "sequence_end": end == 12}
        parts.append(client.infer(name, [tensor(given, x[:, begin:end])], **how).as_numpy(wanted))
    np.testing.assert_allclose(np.concatenate(parts, 1), bundle.predict(x), atol=1e-6)
    with pytest.raises(InferenceServerException, match="There is no sequence '99'. Begin it with sequence_start"):
        client.infer(name, [tensor(given, x)], sequence_id=99)


def test_statistics_count(client, rng):
    def successes():
        return client.get_inference_statistics("whole")["model_stats"][0]["inference_stats"]["success"]["count"]

    before = successes()
    client.infer("whole", [tensor("x", rng.normal(size=(1, 3, 3)).astype("float32"))])
    assert successes() >= before + 1


@pytest.mark.parametrize(
    ("name", "array", "sentence"),
    [
        ("x", np.zeros((1, 2, 4), "float32"), "must have the shape \\[batch, time, 3\\], none of it empty"),
        ("x", np.zeros((1, 0, 3), "float32"), "none of it empty"),
        ("x", np.full((1, 2, 3), np.nan, "float32"), "holds NaN or infinity"),
        ("z", np.zeros((1, 2, 3), "float32"), "The input 'x' is missing"),
    ],
)
def test_what_a_model_does_not_take(client, name, array, sentence):
    with pytest.raises(InferenceServerException, match=sentence):
        client.infer("series", [tensor(name, array)])


def test_models_that_are_not_there(client):
    with pytest.raises(InferenceServerException, match="There is no model 'nothing'. There are: 'series'"):
        client.get_model_metadata("nothing")
    with pytest.raises(InferenceServerException, match="has the version '1' only"):
        client.get_model_metadata("series", "2")


def test_64_sequences_at_once(settings, loaded, rng):
    """Each is what it is alone, whatever runs beside it."""
    bundle = loaded("series")
    x = rng.normal(size=(64, 6, 3)).astype("float32")
    with running(settings) as (address, state):
        client = triton.InferenceServerClient(address, concurrency=64)
        parts = []
        for t in range(6):
            how = {"sequence_start": t == 0, "sequence_end": t == 5}
            asked = [
                client.async_infer("series", [tensor("x", x[i : i + 1, t : t + 1])], sequence_id=i + 1, **how)
                for i in rng.permutation(64).tolist()
            ]
            results = [each.get_result() for each in asked]
            found = {r.get_response()["parameters"]["sequence_id"]: r for r in results}
            parts.append(np.concatenate([found[i + 1].as_numpy("y") for i in range(64)]))
        client.close()
        assert len(state.repository.models["series"].sessions) == 0
    np.testing.assert_allclose(np.concatenate(parts, 1), bundle.predict(x), atol=1e-6)

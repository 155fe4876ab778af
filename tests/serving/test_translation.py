"""A bundle that translates, behind the server: arrays, text, the page's heatmap."""

import json
import shutil
from dataclasses import replace

import httpx
import numpy as np
import pytest

import keras_rnnkit as rk
from tests.serving.conftest import running


@pytest.fixture(scope="module")
def folder(view_bundles, tmp_path_factory):
    """(a folder with the bundle "translator")."""
    folder = tmp_path_factory.mktemp("served")
    shutil.copytree(view_bundles / "translator", folder / "translator")
    return folder


@pytest.fixture(scope="module")
def http(folder, settings):
    with (
        running(replace(settings, folder=folder)) as (address, _),
        httpx.Client(base_url=f"http://{address}/v2/models/translator", timeout=20) as client,
    ):
        yield client


def test_text_is_translated_with_its_hypotheses_and_its_attention(http, folder):
    expected = rk.runtime.load(folder / "translator").translate("abcfed", 9, best=5)
    answer = http.post("/generate", json={"text_input": "abcfed", "max_tokens": 9}).json()
    assert answer["text_output"] == expected[0].text and len(answer["hypotheses"]) == len(expected)
    for found, wanted in zip(answer["hypotheses"], expected, strict=True):
        assert found["text"] == wanted.text and found["score"] == pytest.approx(wanted.score, abs=1e-4)
    attention = answer["attention"]
    assert attention["source"] == list("abcfed") and "".join(attention["target"]) == answer["text_output"]
    np.testing.assert_allclose(attention["weights"], expected[0].attention, atol=1e-3)
    assert http.post("/generate", json={"tokens": [4, 5], "parameters": {"max_tokens": 3}}).status_code == 200


def test_arrays_are_translated_in_one_batch(http, folder):
    source = [[4, 5, 6], [7, 8, 0]]
    tensor = {"name": "source", "datatype": "INT32", "shape": [2, 3], "data": np.ravel(source).tolist()}
    steps = {"name": "steps", "datatype": "INT64", "shape": [1], "data": [6]}
    answer = http.post("/infer", json={"inputs": [tensor, steps]}).json()
    found = {each["name"]: np.reshape(each["data"], each["shape"]) for each in answer["outputs"]}
    expected = rk.runtime.load(folder / "translator").translate([[4, 5, 6], [7, 8]], 6, best=5)
    np.testing.assert_allclose(found["scores"], [[one.score for one in row] for row in expected], atol=1e-4)
    assert found["attention"].shape == (2, 5, found["generated"].shape[2], 3)
    assert http.post("/infer", json={"inputs": [tensor]}).status_code == 200  # steps has a default
    metadata = httpx.get(str(http.base_url).rstrip("/")).json()
    assert [each["name"] for each in metadata["inputs"]] == ["source"]


def tensor_of(data, kind="INT32", name="source"):
    array = np.asarray(data)
    return {"inputs": [{"name": name, "datatype": kind, "shape": list(array.shape), "data": array.ravel().tolist()}]}


@pytest.mark.parametrize(
    ("path", "asked", "status", "sentence"),
    [
        ("/generate", {"text_input": "a" * 13}, 400, "Source 0 has 13 steps, and the model takes 12 at most"),
        ("/generate", {"text_input": ""}, 400, "Source 0 is empty"),
        ("/generate", {}, 400, '"text_input", a text, or "tokens"'),
        ("/generate", {"tokens": [99]}, 400, "Tokens must be 0 to 9"),
        ("/generate", {"text_input": "a", "max_tokens": 10**9}, 413, "max_tokens must be"),
        ("/infer", tensor_of([[99]]), 400, "must be 0 to 9"),
        ("/infer", tensor_of([[4]], name="tokens"), 400, "There is no input 'tokens'"),
        ("/infer", {"inputs": tensor_of([[4]])["inputs"] + tensor_of(0.5, "FP32", "steps")["inputs"]}, 400, "int64"),
        (
            "/infer",
            {"inputs": tensor_of([[4]])["inputs"] + tensor_of(0, "INT64", "steps")["inputs"]},
            413,
            "steps must be 1 to",
        ),
        ("/generate_stream", {"text_input": "a"}, 400, "has no step graph"),
    ],
)
def test_what_cannot_be_translated(http, path, asked, status, sentence):
    response = http.post(path, json=asked)
    assert response.status_code == status and sentence in json.loads(response.text)["error"], response.text

"""Text over HTTP: the same tokens as the bundle gives, one by one, and an end when nobody listens."""

import json
import time

import numpy as np
import pytest

from keras_rnnkit.decoding import Beam, Sampling
from keras_rnnkit.serving.settings import Settings


def events(response):
    return [json.loads(line[6:]) for line in response.text.split("\n\n") if line]


def test_generate_is_what_the_bundle_generates(http, loaded):
    bundle = loaded("writer")
    vocabulary = http_vocabulary(bundle)
    asked = {"text_input": "to be", "max_tokens": 12, "temperature": 0.7, "top_p": 0.9, "seed": 3}
    found = http.post("/v2/models/writer/generate", json=asked).json()
    expected = bundle.generate(vocabulary.encode("to be"), steps=12, seed=3, strategy=Sampling(0.7, top_p=0.9))
    assert found["tokens"] == expected.tokens[0].tolist()
    assert found["text_output"] == vocabulary.decode(expected.tokens[0])
    assert found["score"] == pytest.approx(float(expected.scores[0]), abs=1e-4)
    nested = {"text_input": "to be", "parameters": {k: v for k, v in asked.items() if k != "text_input"}}
    assert http.post("/v2/models/writer/generate", json=nested).json()["tokens"] == found["tokens"]
    stream = http.post("/v2/models/writer/generate_stream", json=asked)
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert [event["token"] for event in events(stream)] == found["tokens"]
    assert "".join(event["text_output"] for event in events(stream)) == found["text_output"]


def http_vocabulary(bundle):
    from keras_rnnkit.text import Vocabulary

    return Vocabulary.load(bundle.folder / "vocabulary.json")


def test_the_token_of_unknown_words_is_written_only_where_that_is_allowed(tmp_path):
    import httpx

    from tests.runtime.test_unknown import UNKNOWN, exported
    from tests.serving.conftest import running

    exported(tmp_path / "words")
    server = running(Settings(folder=tmp_path, reload=0, access_log=False))
    with server as (address, _), httpx.Client(base_url=f"http://{address}/v2/models/words", timeout=20) as client:
        asked = {"text_input": "to be", "max_tokens": 12, "temperature": 0.7}
        answers = [client.post("/generate", json=asked | {"beam": beam}).json() for beam in (1, 3)]
        assert all(answer["tokens"] and UNKNOWN not in answer["tokens"] for answer in answers)
        allowed = asked | {"allow_unknown": True}
        assert UNKNOWN in client.post("/generate", json=allowed).json()["tokens"]
        streams = [events(client.post("/generate_stream", json=body)) for body in (asked, allowed)]
        assert [UNKNOWN in [event["token"] for event in stream] for stream in streams] == [False, True]
        refused = client.post("/generate", json=asked | {"allow_unknown": 1})
        assert refused.status_code == 400 and "must be true or false" in refused.json()["error"]


def test_beams(http, loaded):
    bundle = loaded("writer")
    prompt = http_vocabulary(bundle).encode("or not")
    found = http.post("/v2/models/writer/generate", json={"tokens": prompt.tolist(), "max_tokens": 6, "beam": 3}).json()
    expected = bundle.generate(prompt, steps=6, strategy=Beam(3))
    assert [row["tokens"] for row in found["hypotheses"]] == expected.tokens[0].tolist()
    scores = [row["score"] for row in found["hypotheses"]]
    assert scores == sorted(scores, reverse=True)
    refused = http.post("/v2/models/writer/generate_stream", json={"text_input": "to", "beam": 3})
    assert refused.status_code == 400 and "A beam may take back what it gave" in refused.json()["error"]


def test_a_client_that_leaves_stops_its_generation(http, server):
    _, state = server
    asked = {"text_input": "to", "max_tokens": 2000}
    before = state.metrics.registry.get_sample_value("rnnkit_tokens_total", {"model": "writer"}) or 0
    with http.stream("POST", "/v2/models/writer/generate_stream", json=asked) as response:
        next(response.iter_bytes())
    until(lambda: state.generations == 0)
    after = state.metrics.registry.get_sample_value("rnnkit_tokens_total", {"model": "writer"})
    assert 1 <= after - before < 2000


def until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({}, '"text_input", a text, or "tokens"'),
        ({"text_input": ""}, "The text is empty"),
        ({"text_input": "TO"}, "the vocabulary of 14 does not know: 'O', 'T'"),
        ({"tokens": [99]}, "0 to 13. Received: 99 to 99"),
        ({"text_input": "to", "max_tokens": 0}, "max_tokens must be a whole number, 1 or more. Received: '0'"),
        ({"text_input": "to", "temperature": "hot"}, "temperature must be a number. Received: 'hot'"),
        ({"text_input": "to", "top_p": 3}, "top_p"),
    ],
)
def test_what_cannot_be_generated(http, asked, sentence):
    response = http.post("/v2/models/writer/generate", json=asked)
    assert response.status_code == 400 and sentence in response.json()["error"]


def test_activations_are_the_states_of_the_stream(http, loaded):
    bundle = loaded("writer")
    stream, values = bundle.stream(), []
    tokens = http_vocabulary(bundle).encode("to be or")
    for token in tokens:
        stream.push([[token]])
        values.append(stream.states["state_0"][0, 5])
    asked = {"text_input": "to be or", "state": "state_0", "unit": 5}
    found = http.post("/v2/models/writer/activations", json=asked).json()
    assert found["tokens"] == list("to be or")
    np.testing.assert_allclose(found["values"], values, atol=1e-6)


def test_a_forecast_feeds_the_model_its_own_output(http, loaded, rng):
    series = rng.normal(size=(5, 3)).astype("float32")
    stream = loaded("series").stream()
    y = stream.push(series[None])[:, -1:]
    expected = [y[0, 0]]
    for _ in range(3):
        y = stream.push(y)
        expected.append(y[0, 0])
    found = http.post("/v2/models/series/forecast", json={"series": series.tolist(), "steps": 4}).json()
    np.testing.assert_allclose(found["forecast"], expected, atol=1e-5)

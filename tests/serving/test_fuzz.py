"""Anything at all, by schemathesis and by Hypothesis: an answer, never a 500, never silence."""

import json
import warnings
from pathlib import Path

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keras_rnnkit.serving import Settings
from keras_rnnkit.serving.http.openapi import specification


def described() -> dict:
    """The specification, with models' names filled in: random names would all be 404."""
    found = specification(Settings(folder=Path()))
    for path in list(found["paths"]):
        methods = found["paths"].pop(path)
        for name in ("series", "writer") if "{model}" in path else ("",):
            own = {method: {k: v for k, v in known.items() if k != "parameters"} for method, known in methods.items()}
            found["paths"][path.replace("{model}", name)] = own
    return found


SPECIFICATION = described()
OPERATIONS = [
    (kind, method, path)
    for path, methods in SPECIFICATION["paths"].items()
    for method, operation in methods.items()
    for kind in ("allowed", *(["not allowed"] if "requestBody" in operation else []))
]
"""Without a body there is nothing that is not allowed."""


@pytest.fixture(scope="module")
def schema():
    """The specification as schemathesis reads it, imported here because that costs every process of the tests."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        schemathesis = pytest.importorskip(
            "schemathesis", reason="Needs schemathesis: pip install 'keras-rnnkit[test]'"
        )
        return schemathesis.openapi.from_dict(SPECIFICATION)


@pytest.mark.parametrize("examples", [6, pytest.param(60, marks=pytest.mark.study)])
@pytest.mark.parametrize(("kind", "method", "path"), OPERATIONS)
def test_what_the_description_allows_and_what_it_does_not(kind, method, path, examples, schema, address):
    from schemathesis import GenerationMode

    mode = {"allowed": GenerationMode.POSITIVE, "not allowed": GenerationMode.NEGATIVE}[kind]

    @given(case=schema[path][method].as_strategy(generation_mode=mode))
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    def answered(case):
        response = case.call(base_url=f"http://{address}")
        assert response.status_code < 500, response.text
        if response.status_code >= 400:
            assert isinstance(json.loads(response.content)["error"], str)

    answered()


@pytest.fixture(scope="module")
def client(address):
    with httpx.Client(base_url=f"http://{address}", timeout=10) as client:
        yield client


def good(shape, datatype="FP32"):
    kinds = {"FP32": "float32", "INT32": "int32"}
    data = np.zeros(shape, kinds[datatype]).tobytes()
    entry = {"name": "x", "datatype": datatype, "shape": list(shape), "parameters": {"binary_data_size": len(data)}}
    return json.dumps({"inputs": [entry]}).encode(), data


@given(
    shape=st.lists(st.integers(0, 4), min_size=1, max_size=4).map(tuple),
    datatype=st.sampled_from(["FP32", "INT32"]),
    off=st.integers(-50, 50),
    cut=st.integers(0, 40),
    noise=st.binary(max_size=30),
    place=st.integers(0, 200),
)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_binary_header(client, shape, datatype, off, cut, noise, place):
    head, data = good(shape, datatype)
    body = bytearray(head + data)[: len(head) + len(data) - cut]
    body[place : place + len(noise)] = noise
    headers = {"inference-header-content-length": str(len(head) + off)}
    response = client.post("/v2/models/series/infer", content=bytes(body), headers=headers)
    assert response.status_code < 500, response.text
    assert response.status_code == 200 or isinstance(response.json()["error"], str)


@given(header=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30), body=st.binary(max_size=60))
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
def test_noise(client, header, body):
    headers = {"inference-header-content-length": header}
    response = client.post("/v2/models/series/infer", content=body, headers=headers)
    assert response.status_code == 400 and isinstance(response.json()["error"], str)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(
    entry=st.fixed_dictionaries(
        {},
        optional={"name": st.just("x") | VALUES, "datatype": st.just("FP32") | VALUES, "shape": VALUES, "data": VALUES},
    ),
    parameters=st.none()
    | st.dictionaries(st.sampled_from(["sequence_id", "sequence_start", "timeout"]), VALUES)
    | VALUES,
    path=st.sampled_from(["infer", "generate", "activations", "forecast"]),
)
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def test_json_of_any_form(client, entry, parameters, path):
    body = {"inputs": [entry], "parameters": parameters, "text_input": entry.get("data"), "series": entry.get("data")}
    response = client.post(f"/v2/models/writer/{path}", content=json.dumps(body).encode())
    assert response.status_code < 500, response.text
    response = client.post(f"/v2/models/series/{path}", content=json.dumps(body).encode())
    assert response.status_code < 500, response.text

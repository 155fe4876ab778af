"""What requests may hold: numbers that fit, classes, packed bodies, defaults that agree with the limits."""

import gzip
import json
import zlib
from dataclasses import replace

import httpx
import numpy as np
import pytest

from keras_rnnkit.serving import Settings
from keras_rnnkit.serving.errors import ServingError
from keras_rnnkit.serving.http import wire_format
from keras_rnnkit.serving.http.openapi import specification
from tests.serving.conftest import running
from tests.serving.test_reliability import ONE, body

SERIES = "/v2/models/series/infer"


def tensor(datatype, data, shape=(1, 1, 3)):
    return {"inputs": [{"name": "x", "datatype": datatype, "shape": list(shape), "data": data}]}


@pytest.mark.parametrize(
    "asked",
    [
        tensor("FP64", [1e300, 0, 0]),
        tensor("FP32", [1e300, 0, 0]),
        tensor("FP32", [-1e39, 0, 0]),
        tensor("INT8", [300, 0, 0]),
        tensor("INT64", [2**64, 0, 0]),
        tensor("UINT64", [-1, 0, 0]),
        tensor("INT64", [0.5, 0, 0]),
        tensor("BOOL", [1, 0, 1]),
        tensor("FP32", [True, False, True]),
        tensor("FP32", [[1, 2], [3]]),
        tensor("FP32", [[1, 2, 3], 4]),
        tensor("FP32", [[[[[[[[[[1]]]]]]]]]]),
        tensor("FP32", ["1", "2", "3"]),
        tensor("FP32", [None, 1, 2]),
        tensor("FP32", [{}, 1, 2]),
    ],
)
def test_numbers_that_do_not_fit(http, asked):
    response = http.post(SERIES, json=asked)
    assert response.status_code == 400, response.text


def test_a_double_that_is_no_float_is_refused_as_bytes_too(http):
    data = np.array([1e300, 0, 0]).tobytes()
    entry = {"name": "x", "datatype": "FP64", "shape": [1, 1, 3], "parameters": {"binary_data_size": len(data)}}
    head = json.dumps({"inputs": [entry]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    response = http.post(SERIES, content=head + data, headers=headers)
    assert response.status_code == 400 and "1e+300, which float32 cannot hold" in response.json()["error"]


def test_types_are_checked_before_numpy_sees_a_list(monkeypatch):
    """Sabotage: an array made of a list with a text in it would take the longest text's size in every place."""
    seen = []
    monkeypatch.setattr(wire_format.np, "array", lambda data, *a, **k: seen.append(data))
    with pytest.raises(ServingError, match="Received among them: text"):
        wire_format.untyped("x", ["a" * 2000] + [""] * 1000)
    with pytest.raises(ServingError, match="Received among them: numbers, text"):
        wire_format.from_json("x", [[0.5, "a"]], (2,), "FP32")
    assert not seen


def test_nested_lists_keep_their_shape():
    x = np.arange(12.0).reshape(2, 3, 2)
    np.testing.assert_array_equal(wire_format.untyped("x", x.tolist()), x)
    np.testing.assert_array_equal(wire_format.from_json("x", x.tolist(), (2, 3, 2), "FP32"), x)


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_packed_bodies_are_what_they_hold(http, encoding, pack):
    content = json.dumps(body(ONE)).encode()
    response = http.post(SERIES, content=pack(content), headers={"content-encoding": encoding})
    assert (
        response.status_code == 200
        and response.json()["outputs"] == http.post(SERIES, content=content).json()["outputs"]
    )
    cut = http.post(SERIES, content=pack(content)[:-4], headers={"content-encoding": encoding})
    assert cut.status_code == 400
    twice = http.post(SERIES, content=pack(content) * 2, headers={"content-encoding": encoding})
    assert twice.status_code == 400


def test_classes(http, loaded):
    """As tritonclient asks for them: class_count is the parameter "classification"."""
    triton = pytest.importorskip("tritonclient.http", reason="Needs Triton's client: pip install 'keras-rnnkit[test]'")
    x = np.array([[0, 1, 2]], "int32")
    logits = loaded("writer").predict(x)
    tokens = loaded("writer").vocabulary.tokens
    client = triton.InferenceServerClient(http.base_url.netloc.decode())
    given = triton.InferInput("tokens", [1, 3], "INT32")
    given.set_data_from_numpy(x)
    for binary in (True, False):
        wanted = triton.InferRequestedOutput("logits", binary_data=binary, class_count=2)
        found = client.infer("writer", [given], outputs=[wanted]).as_numpy("logits")
        assert found.shape == (1, 3, 2)
        value, number, label = (found[0, 1, 0].decode() if binary else str(found[0, 1, 0])).strip("b'").split(":", 2)
        best = int(np.argmax(logits[0, 1]))
        assert int(number) == best and float(value) == pytest.approx(logits[0, 1, best], abs=1e-4)
        assert label == tokens[best]
    client.close()


@pytest.mark.parametrize("classes", [-1, "2", True, 10**9])
def test_classes_that_make_no_sense(http, classes):
    x = np.ones((1, 2000, 3))
    asked = body(x) | {"outputs": [{"name": "y", "parameters": {"classification": classes}}]}
    assert http.post(SERIES, json=asked).status_code == (413 if classes == 10**9 else 400)


def test_defaults_agree_with_the_limits(settings):
    """With --max-tokens below the documented default, a request that names no number is answered, not refused."""
    settings = replace(settings, max_tokens=7)
    described = specification(settings)["components"]["schemas"]
    assert described["GenerateRequest"]["properties"]["max_tokens"] == described["GenerateRequest"]["properties"][
        "max_tokens"
    ] | {"maximum": 7, "default": 7}
    assert described["ForecastRequest"]["properties"]["steps"]["maximum"] == 7
    with running(settings) as (address, _):
        url = f"http://{address}/v2/models"
        asked = {"text_input": "to be"}
        assert len(httpx.post(f"{url}/writer/generate", json=asked).json()["tokens"]) <= 7
        series = {"series": [[0.0] * 3]}
        assert len(httpx.post(f"{url}/series/forecast", json=series).json()["forecast"]) == 7
        assert httpx.post(f"{url}/writer/generate", json={**asked, "max_tokens": 8}).status_code == 413


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ({"port": 70000}, "--port must be 0 to 65535. Received: 70000"),
        ({"port": -1}, "--port must be 0 to 65535"),
        ({"reload": -1.0}, "--reload must be 0 or more"),
        ({"reload": float("nan")}, "--reload must be 0 or more"),
        ({"drain": -1.0}, "--drain must be 0 or more"),
        ({"grace": float("inf")}, "--grace must be 0 or more"),
        ({"ray": -1}, "--ray must be 0 or more"),
        ({"max_header": 0}, "--max-header must be 1 or more"),
        ({"header_timeout": 0.0}, "--header-timeout must be a number of seconds above 0"),
        ({"deadline": float("nan")}, "--deadline must be a number of seconds above 0"),
        ({"token": "a\nb"}, "printable ASCII"),
    ],
)
def test_options_are_checked(tmp_path, option, sentence):
    from keras_rnnkit.serving import SettingsError

    with pytest.raises(SettingsError, match=sentence):
        Settings(folder=tmp_path, **option)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--providers", "CUDAExecutionProvider,Nonsense"], "--providers must be names that this onnxruntime has"),
        (["--port", "70000"], "--port must be 0 to 65535"),
        (["--reload", "-1"], "--reload must be 0 or more"),
    ],
)
def test_the_command_refuses_before_anything_starts(bundles, options, sentence):
    from typer.testing import CliRunner

    from keras_rnnkit.cli import app

    done = CliRunner().invoke(app, ["serve", str(bundles), *options])
    assert done.exit_code == 2 and sentence in done.output and "Traceback" not in done.output


@pytest.mark.parametrize(("option", "package"), [("--telemetry", "opentelemetry"), ("--ray 2", "ray")])
def test_extras_that_are_not_installed_are_a_sentence(bundles, option, package, monkeypatch):
    import sys

    from typer.testing import CliRunner

    from keras_rnnkit.cli import app

    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)

    class Missing:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] == package:
                raise ModuleNotFoundError(f"No module named {package!r}", name=package)

    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    done = CliRunner().invoke(app, ["serve", str(bundles), *option.split()])
    extra = "telemetry" if package == "opentelemetry" else "ray"
    assert done.exit_code == 1 and f"pip install 'keras-rnnkit[{extra}]'" in done.output


def test_metrics_have_route_templates_and_statistics_count_inferences(settings):
    with running(settings) as (address, state):
        url = f"http://{address}"
        httpx.post(f"{url}{SERIES}", json=body(ONE))
        httpx.post(f"{url}{SERIES}", json=body(np.ones((1, 1, 4))))
        for path in ("/v2/models/series", "/v2/models/series/config", "/v2/models/nothing/ready", "/v2/health/live"):
            httpx.get(f"{url}{path}")
        text = httpx.get(f"{url}/metrics").text
        found = httpx.get(f"{url}/v2/models/series/stats").json()["model_stats"][0]["inference_stats"]
    assert 'rnnkit_requests_total{model="series",route="/v2/models/{model}/infer",status="200"} 1.0' in text
    assert 'route="/v2/models/{model}/infer",status="400"} 1.0' in text
    assert 'rnnkit_requests_total{model="unknown",route="/v2/models/{model}/ready",status="404"} 1.0' in text
    assert 'rnnkit_requests_total{model="",route="/v2/health/live",status="200"} 1.0' in text
    assert found["success"]["count"] == 1 and found["fail"]["count"] == 1
    del state

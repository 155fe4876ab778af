"""Limits, faults, and what happens to requests when things end."""

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
from typer.testing import CliRunner
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from keras_rnnkit import serving
from keras_rnnkit.cli import app
from keras_rnnkit.serving import Settings, SettingsError
from keras_rnnkit.serving.models.cost import Cost
from keras_rnnkit.serving.models.sessions import Sessions
from keras_rnnkit.serving.models.workers import Workers
from tests.serving.conftest import running
from tests.serving.test_generation import until


def body(x, **parameters):
    array = np.asarray(x, "float32")
    tensor = {"name": "x", "datatype": "FP32", "shape": list(array.shape), "data": array.ravel().tolist()}
    return {"inputs": [tensor], "parameters": parameters}


ONE = np.ones((1, 2, 3))
CHEAP = Cost(fixed=1e-5, step=1e-7, cell=1e-7)


@pytest.mark.parametrize(
    ("changes", "path", "asked", "status", "sentence"),
    [
        ({"max_body": 500}, "series/infer", body(np.ones((1, 99, 3))), 413, "may have 500 bytes"),
        ({"max_rows": 2}, "series/infer", body(np.ones((3, 1, 3))), 413, "has 3 rows; this server takes 2"),
        ({"max_steps": 5}, "series/infer", body(np.ones((1, 6, 3))), 413, "has 6 steps; this server takes 5"),
        (
            {"max_tokens": 5},
            "writer/generate",
            {"text_input": "to", "max_tokens": 6},
            413,
            "max_tokens must be 5 or less",
        ),
        ({"token": "secret"}, "series/infer", body(ONE), 401, "Authorization: Bearer TOKEN"),
    ],
)
def test_limits(settings, changes, path, asked, status, sentence):
    with running(replace(settings, **changes)) as (address, _):
        response = httpx.post(f"http://{address}/v2/models/{path}", json=asked)
        assert response.status_code == status and sentence in response.json()["error"]
        assert httpx.get(f"http://{address}/v2/health/live").status_code == 200


def test_the_token_lets_in(settings):
    with running(replace(settings, token="secret")) as (address, _):
        right = {"authorization": "Bearer secret"}
        assert httpx.post(f"http://{address}/v2/models/series/infer", json=body(ONE), headers=right).status_code == 200
        assert httpx.get(f"http://{address}/").status_code == 200
        wrong = {"authorization": "Bearer secrets"}
        assert httpx.get(f"http://{address}/v2/models", headers=wrong).status_code == 401


def test_other_machines_need_a_token(bundles):
    with pytest.raises(SettingsError, match="--host 0.0.0.0 can be reached from other machines"):
        Settings(folder=bundles, host="0.0.0.0")
    Settings(folder=bundles, host="0.0.0.0", token="secret")


def test_the_token_comes_from_the_environment_too(bundles, monkeypatch):
    given = []
    monkeypatch.setattr(serving, "serve", given.append)
    for token in ("secret", ""):
        known = CliRunner().invoke(app, ["serve", str(bundles), "--host", "0.0.0.0"], env={"RNNKIT_TOKEN": token})
        assert ("set RNNKIT_TOKEN" in known.output) == (not token)
    assert [settings.token for settings in given] == ["secret"]


def test_pages_of_other_sites_are_refused(http):
    response = http.post("/v2/models/series/infer", json=body(ONE), headers={"origin": "https://elsewhere.example"})
    assert response.status_code == 403


@pytest.mark.parametrize("path", ["../series", "%2e%2e%2fseries", "series%00", "/etc/passwd", "..."])
def test_names_are_no_paths(http, path):
    response = http.get(f"/v2/models/{path}")
    assert response.status_code == 404 and "error" in response.json()


def test_too_many_generations_wait(settings):
    with running(replace(settings, max_generations=1, max_tokens=10**6)) as (address, state):
        asked = {"text_input": "to", "max_tokens": 10**6}
        with httpx.stream("POST", f"http://{address}/v2/models/writer/generate_stream", json=asked) as first:
            pieces = first.iter_bytes()  # it closes the response when it is forgotten
            next(pieces)
            second = httpx.post(f"http://{address}/v2/models/writer/generate", json={"text_input": "to"})
            assert second.status_code == 429 and second.headers["retry-after"] == "1"
        until(lambda: state.generations == 0)
        assert httpx.post(f"http://{address}/v2/models/writer/generate", json={"text_input": "to"}).status_code == 200


def test_sessions_that_are_too_old_or_too_many(loaded):
    dropped = []
    sessions = Sessions(loaded("series").step, most=2, ttl=0.05, dropped=dropped.append)
    for name in "abc":
        sessions.begin(name, 1)
    assert list(sessions.by_name) == ["b", "c"] and dropped == ["evicted"]
    time.sleep(0.06)
    sessions.sweep()
    assert not sessions.by_name and dropped == ["evicted", "expired", "expired"]
    assert len(sessions.pool.free) == 64


def test_memory_stays_with_many_sessions(loaded):
    sessions = Sessions(loaded("series").step, most=100, ttl=600)
    for name in range(10_000):
        sessions.begin(name, 1)
    assert len(sessions.by_name) == 100
    assert len(next(iter(sessions.pool.arrays.values()))) == 128


def sessions_of(graph, count):
    sessions = Sessions(graph, most=count, ttl=600)
    return [sessions.begin(name, 1) for name in range(count)]


def test_a_row_that_fails_does_not_harm_its_session(http, loaded, rng):
    x = rng.normal(size=(1, 4, 3))
    expected = loaded("series").predict(x.astype("float32"))
    first = http.post("/v2/models/series/infer", json=body(x[:, :2], sequence_id="s", sequence_start=True)).json()
    bad = http.post("/v2/models/series/infer", json=body(np.ones((2, 1, 3)), sequence_id="s"))
    assert bad.status_code == 400 and "began with 1 rows. Received: 2" in bad.json()["error"]
    last = http.post("/v2/models/series/infer", json=body(x[:, 2:], sequence_id="s", sequence_end=True)).json()
    found = first["outputs"][0]["data"] + last["outputs"][0]["data"]
    np.testing.assert_allclose(np.reshape(found, (1, 4, 3)), expected, atol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_answer_that_is_not_finite_is_none(bad):
    """It is refused, and no state is kept."""
    from keras_rnnkit.serving.errors import ServingError
    from keras_rnnkit.serving.models.runs import BatchResult, RunRequest, deliver, shares

    kept = []
    pool = SimpleNamespace(keep=lambda *arguments: kept.append(arguments))
    session = SimpleNamespace(pool=pool, places=np.array([0]), gone=False)

    async def go(value):
        request = RunRequest({}, 1, asyncio.get_running_loop().create_future(), 0.0, session)
        outputs = {"y": np.array([1.0, value], "float32")}
        deliver([request], BatchResult(outputs, shares([request], outputs, ["y"]), 0.0))
        return await request.done

    with pytest.raises(ServingError, match="'y' is NaN or infinite for this input. Its state is as it was before"):
        asyncio.run(go(bad))
    assert not kept
    asyncio.run(go(2.0))
    assert len(kept) == 1


def test_a_request_past_its_deadline_is_not_run(loaded):
    from keras_rnnkit.serving.errors import ServingError
    from keras_rnnkit.serving.models.batcher import Batcher

    async def late():
        with contextlib.closing(Workers(1)) as workers:
            batcher = Batcher(loaded("series").sequence, workers, CHEAP, 8, 8)
            await batcher.run({"x": np.ones((1, 1, 3), "float32")}, 1, timeout=-1.0)

    with pytest.raises(ServingError, match="no state has changed"):
        asyncio.run(late())


def test_the_order_of_a_session_is_kept(loaded):
    """Requests of one session that wait together run one after the other, though of other lengths than those around."""
    from keras_rnnkit.serving.models.batcher import Batcher

    ran, sizes = [], []

    async def go():
        with contextlib.closing(Workers(1)) as workers:
            seen = lambda rows, *_: sizes.append(rows)  # noqa: E731
            batcher = Batcher(loaded("series").sequence, workers, CHEAP, 8, 99, seen=seen)
            sessions = dict(zip("abc", sessions_of(loaded("series").sequence, 3), strict=True))

            async def run(i, name, steps):
                await batcher.run({"x": np.ones((1, steps, 3), "float32")}, 1, 9.0, sessions[name])
                ran.append(i)

            asked = [("a", 1), ("b", 2), ("b", 1), ("a", 1), ("c", 1)]
            await asyncio.gather(*(run(i, *request) for i, request in enumerate(asked)))

    asyncio.run(go())
    assert sorted(ran) == [0, 1, 2, 3, 4]
    assert ran.index(1) < ran.index(2) and ran.index(0) < ran.index(3)
    assert ran[:2] == [0, 4] and sizes[0] == 2  # one batch


def test_a_stream_that_is_alone_does_not_wait_for_others(loaded):
    """Its steps run as they are asked for; those of two streams by turns go through the queue."""
    from keras_rnnkit.serving.models.batcher import Batcher

    a, b = sessions_of(loaded("series").sequence, 2)

    async def went_at_once(batcher, session):
        task = batcher.run({"x": np.ones((1, 1, 3), "float32")}, 1, 9.0, session)
        try:
            task.send(None)
        except StopIteration as found:
            return "y" in found.value
        task.close()
        await asyncio.sleep(0.05)  # nobody waits for it; the queue is empty again
        return False

    async def go():
        with contextlib.closing(Workers(1)) as workers:
            batcher = Batcher(loaded("series").sequence, workers, CHEAP, 8, 8)
            await batcher.run({"x": np.ones((1, 1, 3), "float32")}, 1, 9.0, a)
            return [await went_at_once(batcher, session) for session in (a, a, b, None)]

    assert asyncio.run(go()) == [True, True, False, False]


def test_what_waits_together_runs_as_one_batch(settings, loaded, rng):
    """64 sessions, 6 steps each: 6 runs of the graph, and the numbers that each session has alone."""
    from keras_rnnkit.serving.models.served_model import ServedModel
    from keras_rnnkit.serving.observability.metrics import Metrics

    x = rng.normal(size=(64, 6, 3)).astype("float32")

    async def go():
        with contextlib.closing(Workers(1)) as workers:
            model = ServedModel("series", settings.folder / "series", settings, workers, Metrics())
            model.step.cost = CHEAP  # however busy this machine is
            parts = []
            for t in range(6):
                steps = (model.next(i, {"x": x[i : i + 1, t : t + 1]}, t == 0, t == 5, 9.0) for i in range(64))
                parts.append(np.concatenate([found["y"] for found in await asyncio.gather(*steps)]))
            return np.concatenate(parts, 1), model.metrics.tallies["series"].runs

    found, runs = asyncio.run(go())
    assert runs == 6
    np.testing.assert_allclose(found, loaded("series").predict(x), atol=1e-6)


def test_a_bundle_that_was_tampered_with_is_refused_and_the_others_serve(settings, copied):
    graph = copied / "whole" / "sequence.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"x")
    (copied / "junk").mkdir()
    (copied / "junk" / "manifest.json").write_text("{")
    with running(replace(settings, folder=copied)) as (address, _):
        response = httpx.get(f"http://{address}/v2/models/whole")
        assert response.status_code == 503 and "its sha256 differs" in response.json()["error"]
        assert httpx.post(f"http://{address}/v2/models/series/infer", json=body(ONE)).status_code == 200
        rows = {row["name"]: row for row in httpx.post(f"http://{address}/v2/repository/index").json()}
        assert rows["whole"]["state"] == rows["junk"]["state"] == "UNAVAILABLE" and rows["series"]["state"] == "READY"


def test_bundles_that_come_change_and_go(settings, copied, tmp_path):
    (copied / "whole").rename(tmp_path / "aside")
    with running(replace(settings, folder=copied, reload=0.05)) as (address, state):
        assert httpx.get(f"http://{address}/v2/models/whole").status_code == 404
        (tmp_path / "aside").rename(copied / "whole")
        until(lambda: "whole" in state.repository.models)
        before = state.repository.models["series"]
        os.utime(copied / "series" / "manifest.json")
        until(lambda: state.repository.models["series"] is not before)
        (copied / "series").rename(tmp_path / "gone")
        until(lambda: "series" not in state.repository.models)
        assert httpx.get(f"http://{address}/v2/models/series").status_code == 404


def test_term_under_load_loses_nothing_that_was_accepted(bundles, tmp_path):
    command = [sys.executable, "-m", "keras_rnnkit", "serve", str(bundles), "--port", "0", "--no-access-log"]
    log = tmp_path / "log"
    with log.open("w") as file:
        server = subprocess.Popen(command, stderr=file)
    until(lambda: "running on" in log.read_text(), 20)
    port = int(re.search(r"running on http://127.0.0.1:(\d+)", log.read_text())[1])
    lost, answered = [], []

    def load():
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            while True:
                try:
                    response = client.post("/v2/models/series/infer", json=body(ONE))
                except httpx.HTTPError as error:
                    lost.append(repr(error))
                    return
                answered.append(response.status_code)
                if response.headers.get("connection") == "close":
                    return  # a client that goes on would be sent elsewhere

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    until(lambda: len(answered) > 16, 20)
    server.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    ready = httpx.get(f"http://127.0.0.1:{port}/v2/health/ready")
    assert server.wait(20) in (0, -signal.SIGTERM)
    for thread in threads:
        thread.join(20)
    assert ready.status_code == 503 and json.loads(ready.text) == {"ready": False}
    assert not lost and len(answered) > 8 and set(answered) == {200}


def test_serving_loads_no_framework():
    code = (
        "import sys, keras_rnnkit.runtime, keras_rnnkit.serving.server; "
        "print({'tensorflow', 'keras', 'jax', 'torch', 'onnx', 'tf2onnx'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


def test_requests_can_be_traced(settings):
    pytest.importorskip(
        "opentelemetry.instrumentation.asgi", reason="Needs OpenTelemetry: pip install 'keras-rnnkit[telemetry]'"
    )
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from starlette.testclient import TestClient

    from keras_rnnkit import serving
    from keras_rnnkit.serving.observability.tracing import traced

    spans = InMemorySpanExporter()
    app = traced(serving.app(settings), spans)
    with TestClient(app, base_url="http://localhost") as client:
        assert client.get("/v2/models/series").status_code == 200
    until(lambda: any("GET" in span.name for span in spans.get_finished_spans()), 10)


@contextlib.contextmanager
def stopping(bundles, tmp_path, *options):
    """(port, a function that sends SIGTERM) of a server in a process of its own."""
    command = [sys.executable, "-m", "keras_rnnkit", "serve", str(bundles), "--port", "0", "--no-access-log", *options]
    log = tmp_path / "log"
    with log.open("w") as file:
        server = subprocess.Popen(command, stderr=file)
    try:
        until(lambda: "running on" in log.read_text(), 20)
        port = int(re.search(r"running on http://127.0.0.1:(\d+)", log.read_text())[1])
        yield port, lambda: server.send_signal(signal.SIGTERM)
        assert server.wait(20) in (0, -signal.SIGTERM)
    finally:
        server.kill()
        server.wait()


def test_streams_are_told_that_the_server_stops(bundles, tmp_path):
    """Server-sent events by a last event when the grace is over; a WebSocket by its close code, 1001."""
    options = ("--grace", "0.3", "--max-tokens", "1000000")
    with stopping(bundles, tmp_path, *options) as (port, stop):
        asked = {"text_input": "to", "max_tokens": 10**6, "stop_at_end": False}
        with connect(f"ws://127.0.0.1:{port}/v2/models/series/stream") as socket:
            socket.send(json.dumps({"inputs": {"x": ONE.tolist()}}))
            assert "error" not in json.loads(socket.recv(timeout=10))
            address = f"http://127.0.0.1:{port}/v2/models/writer/generate_stream"
            with httpx.stream("POST", address, json=asked, timeout=20) as response:
                events = response.iter_text()
                next(events)
                stop()
                text = "".join(events)
            with pytest.raises(ConnectionClosed) as closed:
                while True:  # what it answered before
                    assert "error" not in json.loads(socket.recv(timeout=10))
    assert "The server is stopping; this is how far it came." in text.strip().splitlines()[-1]
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1001


def test_a_client_that_leaves_ends_its_generation(settings):
    """Of an answer that comes whole, too: nothing is computed for nobody."""
    with running(replace(settings, max_tokens=10**6)) as (address, state):
        asked = {"text_input": "to", "max_tokens": 10**6}
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"http://{address}/v2/models/writer/generate", json=asked, timeout=0.5)
        until(lambda: state.generations == 0)

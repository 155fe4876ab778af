"""Streams over a WebSocket, with a client of another project."""

import asyncio
import json

import numpy as np
import pytest
from websockets.sync.client import connect

from keras_rnnkit import serving
from tests.serving.test_reliability import CHEAP


def test_chunks_as_bytes_and_as_json(address, loaded, rng):
    x = rng.normal(size=(2, 9, 3)).astype("float32")
    expected = loaded("series").predict(x)
    with connect(f"ws://{address}/v2/models/series/stream?rows=2") as socket:
        hello = json.loads(socket.recv())
        assert hello["model"] == "series" and hello["rows"] == 2
        parts = []
        for begin, end in ((0, 4), (4, 5)):
            socket.send(x[:, begin:end].tobytes())
            parts.append(np.frombuffer(socket.recv(), "<f4").reshape(2, end - begin, 3))
        socket.send(json.dumps({"inputs": {"x": x[:, 5:].tolist()}}))
        parts.append(np.array(json.loads(socket.recv())["outputs"]["y"]))
        np.testing.assert_allclose(np.concatenate(parts, 1), expected, atol=1e-6)
        socket.send('{"reset": true}')
        assert json.loads(socket.recv()) == {"reset": True}
        socket.send(x[:, :2].tobytes())
        np.testing.assert_allclose(np.frombuffer(socket.recv(), "<f4").reshape(2, 2, 3), expected[:, :2], atol=1e-6)


def test_a_bad_chunk_leaves_the_stream_where_it_was(address, loaded, rng):
    x = rng.normal(size=(1, 4, 3)).astype("float32")
    with connect(f"ws://{address}/v2/models/series/stream") as socket:
        socket.recv()
        for bad, sentence in (
            (b"12345", "a multiple of 12 bytes"),
            (b"", "a multiple of 12 bytes"),
            ("{", "not JSON"),
            ('{"inputs": {"x": [[1, 2], [3]]}}', "nested to one shape"),
            ('{"inputs": {"x": [[[1, 2]]]}}', "must have the shape [batch, time, 3]"),
            (np.full((1, 1, 3), np.inf, "<f4").tobytes(), "NaN or infinity"),
        ):
            socket.send(bad)
            assert sentence in json.loads(socket.recv())["error"]
        socket.send(x[:, :2].tobytes())
        first = np.frombuffer(socket.recv(), "<f4")
        socket.send(b"123")
        assert "error" in json.loads(socket.recv())
        socket.send(x[:, 2:].tobytes())
        second = np.frombuffer(socket.recv(), "<f4")
    found = np.concatenate([first, second]).reshape(1, 4, 3)
    np.testing.assert_allclose(found, loaded("series").predict(x), atol=1e-6)


def test_sessions_end_with_their_connections(address, server):
    sessions = server[1].repository.models["series"].sessions
    with connect(f"ws://{address}/v2/models/series/stream") as socket:
        socket.recv()
        socket.send(np.ones((1, 1, 3), "<f4").tobytes())
        socket.recv()
        assert any(str(name).startswith("websocket-") for name in sessions.by_name)
    from tests.serving.test_generation import until

    until(lambda: not any(str(name).startswith("websocket-") for name in sessions.by_name))


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("nothing/stream", "There is no model 'nothing'"),
        ("whole/stream", "has no step graph"),
        ("series/stream?rows=0", "rows must be a number from 1"),
    ],
)
def test_connections_that_make_no_sense(address, path, sentence):
    with connect(f"ws://{address}/v2/models/{path}") as socket:
        assert sentence in json.loads(socket.recv())["error"]


def test_many_messages_at_once_leave_others_their_turn(settings):
    """A client that sends without waiting for answers runs alone, and still not all at once."""
    app, turns, sent = serving.app(settings), 0, []
    messages = [{"type": "websocket.connect"}, *({"type": "websocket.receive", "bytes": bytes(12)} for _ in range(50))]
    messages.append({"type": "websocket.disconnect", "code": 1000})

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    async def others():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def go():
        await app.server.repository.refresh()
        app.server.repository.find("series").step.cost = CHEAP  # however busy this machine is
        scope = {"type": "websocket", "path": "/v2/models/series/stream", "headers": [], "query_string": b""}
        watching = asyncio.create_task(others())
        await app(scope, receive, send)
        watching.cancel()

    asyncio.run(go())
    assert sum("bytes" in message and message["bytes"] is not None for message in sent) == 50
    assert turns >= 50


def test_large_json_is_read_and_written_by_the_transcoder(address, loaded, rng):
    """A message of 300 kB and an answer as large are the same numbers as small ones."""
    x = rng.normal(size=(1, 5000, 3)).astype("float32").round(4)
    with connect(f"ws://{address}/v2/models/series/stream", max_size=None) as socket:
        socket.recv()
        socket.send(json.dumps({"inputs": {"x": x.tolist()}}))
        answer = json.loads(socket.recv())
        assert "outputs" in answer, answer
        found = np.array(answer["outputs"]["y"])
        socket.send(json.dumps({"inputs": {"x": [["a" * 70_000]]}}))
        assert "Received among them: text" in json.loads(socket.recv())["error"]
        socket.send(json.dumps({"reset": True, "inputs": {"x": [0.5] * 20_000}}))
        assert json.loads(socket.recv()) == {"reset": True}
    np.testing.assert_allclose(found, loaded("series").predict(x), atol=1e-5)


def test_a_large_answer_keeps_what_was_asked_as_bytes(address, loaded, rng):
    """Of several outputs some may be bytes and some JSON, also where the transcoder writes them."""
    import httpx

    x = np.ones((1, 5000, 3), "float32")
    entry = {"name": "x", "datatype": "FP32", "shape": list(x.shape), "data": x.ravel().tolist()}
    expected = loaded("series").predict(x)
    for binary in (True, False):
        asked = {"inputs": [entry], "outputs": [{"name": "y", "parameters": {"binary_data": binary}}], "id": "seven"}
        response = httpx.post(f"http://{address}/v2/models/series/infer", json=asked, timeout=20)
        length = int(response.headers.get("inference-header-content-length", len(response.content)))
        answer = json.loads(response.content[:length])
        (output,) = answer["outputs"]
        data = np.frombuffer(response.content[length:], "<f4") if binary else np.array(output["data"])
        assert answer["id"] == "seven" and ("data" in output) == (not binary)
        np.testing.assert_allclose(data.reshape(output["shape"]), expected, atol=1e-5)

"""Small requests that unpack to large things."""

import gzip
import json
import threading

import pytest

from tests.serving.faults.clients import Raw

ROOM = 600.0
"""Megabytes that the server, or its process for JSON, may take at the most. Before, a request of 0.9 MB took 2,400."""


@pytest.fixture(autouse=True)
def from_here_on(target):
    target.forget_memory()


def bomb(kind: str) -> bytes:
    data = {
        "texts": ["a" * 2000] + [""] * 300_000,
        "a text among numbers": [0.5] * 100_000 + ["a" * 2000],
        "objects": [{"a": 1}] * 150_000,
        "empty lists": [[]] * 400_000,
        "ragged lists": [[1.0] * 10, [1.0] * 11] * 10_000,
        "deep lists": None,
        "null": [None] * 200_000,
    }[kind]
    if kind == "deep lists":
        return b'{"inputs": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    entry = {"name": "x", "datatype": "FP32", "shape": [1, 1, 3], "data": data}
    return json.dumps({"inputs": [entry]}).encode()


@pytest.mark.parametrize(
    "kind", ["texts", "a text among numbers", "objects", "empty lists", "ragged lists", "deep lists", "null"]
)
def test_json_that_is_large_once_it_is_read(target, kind):
    model, _ = target.streaming()
    status, answer = target.ask(f"/v2/models/{model}/infer", bomb(kind))
    assert status == 400 and isinstance(answer["error"], str), answer
    if target.process:
        assert target.memory() < ROOM


@pytest.mark.parametrize("kind", ["texts", "deep lists"])
def test_json_of_a_websocket(target, kind):
    from websockets.sync.client import connect

    model, _ = target.streaming()
    data = bomb(kind)
    message = json.dumps({"inputs": {"x": json.loads(data)["inputs"][0]["data"]}}) if kind == "texts" else data.decode()
    headers = {"Authorization": f"Bearer {target.token}"} if target.token else {}
    url = f"ws://{target.host}:{target.port}/v2/models/{model}/stream"
    with connect(url, additional_headers=headers, max_size=None) as socket:
        socket.recv()
        socket.send(message)
        assert "error" in json.loads(socket.recv())
    if target.process:
        assert target.memory() < ROOM


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_packed_bomb(target, encoding):
    import zlib

    packed = (gzip.compress if encoding == "gzip" else zlib.compress)(b" " * 50_000_000)
    model, _ = target.streaming()
    status, answer = target.ask(f"/v2/models/{model}/infer", packed, {"Content-Encoding": encoding})
    assert status == 413 and "when it is unpacked" in answer["error"]
    if target.process:
        assert target.memory() < ROOM


@pytest.mark.parametrize(
    "shape",
    [[4611686018427387904, 0, 1], [2**62, 4, 4], [2**31, 2**31], [2**63], [2**70], [-1, 1], [1] * 40, [0, 2**40]],
)
def test_shapes_that_overflow(target, shape):
    model, _ = target.streaming()
    entry = {"name": "x", "datatype": "FP32", "shape": shape, "data": []}
    assert target.ask(f"/v2/models/{model}/infer", {"inputs": [entry]})[0] in (400, 413)
    entry = {"name": "x", "datatype": "FP32", "shape": shape, "parameters": {"binary_data_size": 0}}
    assert target.ask(f"/v2/models/{model}/infer", {"inputs": [entry]})[0] in (400, 413)


def test_bodies_share_a_budget(own):
    """Forty bodies of 16 MB at once: the server holds some, and tells the others to come again."""
    size = 16 * 2**20
    statuses: list[int] = []

    def upload():
        with Raw(own, timeout=60) as raw:
            raw.send(raw.head("POST", "/v2/models/series/infer", **{"Content-Length": size}) + b"\r\n")
            piece = b" " * 2**20
            sent = all(raw.send(piece) for _ in range(15))
            hold.wait(20)
            if sent:
                raw.send(piece)
            try:
                statuses.append(raw.answer()[0])
            except (AssertionError, OSError):
                statuses.append(408)

    hold = threading.Event()
    threads = [threading.Thread(target=upload) for _ in range(40)]
    for thread in threads:
        thread.start()
    hold.wait(0.7)
    hold.set()
    for thread in threads:
        thread.join(60)
    assert len(statuses) == 40 and set(statuses) <= {400, 408, 429}
    print(f"the server took {own.memory():.0f} MB")
    assert own.memory() < ROOM


def test_the_process_for_json_makes_way_for_a_new_one(monkeypatch):
    """Worn out after one request, as after one that took much memory: the next one is answered by a successor."""
    import asyncio

    from keras_rnnkit.serving.http import transcoder

    code = "from keras_rnnkit.serving.http import transcoder as t; t.WORN = 0; t.main()"
    monkeypatch.setattr(transcoder, "COMMAND", ("-c", code))
    answers = []

    async def go():
        server = transcoder.Transcoder()
        body = json.dumps({"inputs": {"x": [1.5, 2.5]}}).encode()
        for _ in range(3):
            result, length = await server.run(transcoder.MESSAGE, body, 0)
            assert json.loads(result[:length])["inputs"][0]["shape"] == [2] and server.process is None
            answers.append(result)
        server.close()

    asyncio.run(go())
    assert len(answers) == 3 and len(set(answers)) == 1

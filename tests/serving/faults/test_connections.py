"""Slow, endless and idle connections."""

import contextlib
import gzip
import json
import resource
import time

import pytest

from keras_rnnkit.bench.load import frame
from tests.serving.faults.clients import Raw
from tests.serving.faults.conftest import serving


def ended(raw, patience: float) -> bytes:
    """What the server sends until it ends the connection, which it must do in time."""
    began = time.monotonic()
    raw.socket.settimeout(patience)
    data = raw.received()
    assert time.monotonic() - began < patience
    return data


@pytest.mark.parametrize(
    "half",
    [b"GE", b"GET /v2/health/live HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Half: "],
    ids=["method", "request line", "header"],
)
def test_half_a_head(target, half):
    with Raw(target) as raw:
        raw.send(half)
        data = ended(raw, target.patience)
    assert b" 408 " in data.split(b"\r\n")[0] and b"must come within" in data


def test_a_head_of_a_byte_at_a_time(target):
    with Raw(target) as raw:
        for letter in b"GET / HTTP/1.1\r\nX-Slow: " + b"a" * 10_000:
            if not raw.send(bytes([letter])):
                break
            time.sleep(0.05 if target.process else 0.5)
            with contextlib.suppress(BlockingIOError):
                raw.socket.setblocking(False)
                if b"408" in raw.socket.recv(100):
                    return
            raw.socket.setblocking(True)
        pytest.fail("the server took the whole head")


def test_a_connection_that_asks_nothing(target):
    with Raw(target) as raw:
        assert ended(raw, target.patience) == b""


@pytest.mark.parametrize(
    "kind", ["one header without end", "headers without end", "2 MB in one header", "too many headers", "url"]
)
def test_heads_that_are_too_large(target, kind):
    with Raw(target) as raw:
        if kind == "url":
            raw.send(b"GET /" + b"a" * 200_000)
        elif kind == "2 MB in one header":
            raw.send(raw.head("GET", "/v2/health/live", X_Large="a" * 2_000_000) + b"\r\n")
        elif kind == "too many headers":
            raw.send(raw.head("GET", "/v2/health/live", **{f"X-{i}": i for i in range(200)}) + b"\r\n")
        else:
            raw.send(raw.head("GET", "/v2/health/live"))
            piece = b"a" * 65536 if kind == "one header without end" else b"X-Header: value\r\n" * 4096
            raw.send(b"X-Endless: " if kind == "one header without end" else b"")
            for _ in range(4600):  # 300 MB
                if not raw.send(piece):
                    break
        data = ended(raw, 20)
    if data:  # a client that goes on sending may be cut off before it has read why
        assert b" 431 " in data.split(b"\r\n")[0] and b"of request line and headers at most" in data
    else:
        assert "without end" in kind


@pytest.mark.parametrize("kind", ["half a body", "a byte at a time", "half a chunk"])
def test_slow_bodies(target, kind):
    model, _ = target.streaming()
    with Raw(target) as raw:
        length = {"Transfer-Encoding": "chunked"} if kind == "half a chunk" else {"Content-Length": 5000}
        raw.send(raw.head("POST", f"/v2/models/{model}/infer", **length) + b"\r\n")
        raw.send(b'ffff\r\n{"inputs"' if kind == "half a chunk" else b'{"inputs":')
        end = time.monotonic() + (1.5 if target.process and kind == "a byte at a time" else 0)
        while time.monotonic() < end and raw.send(b" "):
            time.sleep(0.05)
        data = ended(raw, target.patience)
    assert b" 408 " in data.split(b"\r\n")[0]


@pytest.mark.parametrize("kind", ["chunks", "trailers", "one trailer", "a length"])
def test_bodies_without_end(target, kind):
    with Raw(target) as raw:
        if kind == "a length":
            raw.send(raw.head("POST", "/v2/models/any/infer", **{"Content-Length": 10**12}) + b"\r\n")
            piece = b" " * 65536
        else:
            raw.send(raw.head("POST", "/v2/models/any/infer", **{"Transfer-Encoding": "chunked"}) + b"\r\n")
            piece = {
                "chunks": b"10000\r\n" + b" " * 65536 + b"\r\n",
                "trailers": b"X-Trailer: value\r\n" * 4096,
                "one trailer": b"a" * 65536,
            }[kind]
            raw.send({"chunks": b"", "trailers": b"0\r\n", "one trailer": b"0\r\nX-Trailer: "}[kind])
        sent = 0
        while raw.send(piece) and sent < 3 * 10**8:
            sent += len(piece)
        data = ended(raw, max(20, target.patience))
    if data:
        assert data.split(b" ")[1] in (b"413", b"431", b"400", b"404")


def test_a_thousand_connections(target):
    """They are open and idle, and others are served as before."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    try:
        with contextlib.ExitStack() as stack:
            crowd = [stack.enter_context(Raw(target)) for _ in range(1000)]
            for raw in crowd:
                raw.send(raw.head("GET", "/v2/health/live") + b"\r\n")
            assert all(raw.answer()[0] == 200 for raw in crowd)
            assert max(target.live() for _ in range(20)) < 2.0
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_reader_of_events_that_does_not_read_loses_its_place(fault_bundles, tmp_path):
    asked = json.dumps({"text_input": "to be", "max_tokens": 1_000_000, "temperature": 1.0}).encode()
    options = ("--max-generations", "1", "--max-tokens", "1000000", "--send-timeout", "0.5")
    with serving(fault_bundles, tmp_path / "log", *options) as target, Raw(target, receive_buffer=4096) as raw:
        head = raw.head("POST", "/v2/models/writer/generate_stream", **{"Content-Length": len(asked)})
        raw.send(head + b"\r\n" + asked)
        end, short, refused = time.monotonic() + 60, {"text_input": "to", "max_tokens": 2}, False
        while (status := target.ask("/v2/models/writer/generate", short)[0]) != 200 or not refused:
            refused |= status == 429
            assert time.monotonic() < end
            time.sleep(0.1)


def test_a_websocket_whose_answers_are_not_read_is_closed(fault_bundles, tmp_path):
    chunk = frame(bytes(3 * 4 * 1000))
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": 13}
    options = ("--send-timeout", "0.5")
    with serving(fault_bundles, tmp_path / "log", *options) as target, Raw(target, receive_buffer=4096) as raw:
        key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
        raw.send(raw.head("GET", "/v2/models/series/stream", **upgrade, **key) + b"\r\n")
        end = time.monotonic() + 60
        while raw.send(chunk):
            assert time.monotonic() < end


def test_a_client_that_leaves_ends_its_forecast(own):
    """Forecasts take a place among the generations, and give it back."""
    asked = json.dumps({"series": [[0.0] * 3] * 5, "steps": 1_000_000}).encode()
    with contextlib.ExitStack() as stack:
        for _ in range(16):
            raw = stack.enter_context(Raw(own))
            head = raw.head("POST", "/v2/models/series/forecast", **{"Content-Length": len(asked)})
            raw.send(head + b"\r\n" + asked)
        short = {"series": [[0.0] * 3], "steps": 1}
        end = time.monotonic() + 10
        while own.ask("/v2/models/series/forecast", short)[0] != 429:
            assert time.monotonic() < end
    while own.ask("/v2/models/series/forecast", short)[0] != 200:
        assert time.monotonic() < end


def test_packed_bodies(target):
    body = json.dumps({"ready": True}).encode()
    assert target.ask("/v2/repository/index", gzip.compress(body), {"Content-Encoding": "gzip"})[0] == 200
    status, answer = target.ask("/v2/repository/index", body, {"Content-Encoding": "br"})
    assert status == 415 and "gzip or deflate" in answer["error"]
    status, answer = target.ask("/v2/repository/index", b"no gzip", {"Content-Encoding": "gzip"})
    assert status == 400 and "is not gzip" in answer["error"]

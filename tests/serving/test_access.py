"""Who is let in: hosts, origins, the token, the sign-in of browsers."""

from dataclasses import replace

import httpx
import numpy as np
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.serving.conftest import running
from tests.serving.test_reliability import ONE, body

SERIES = "/v2/models/series/infer"


@pytest.fixture(scope="module")
def guarded(settings):
    """The address of a server with the token "secret"."""
    with running(replace(settings, token="secret")) as (address, _):
        yield address


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example", "origin": "http://evil.example"}, 403),  # DNS rebinding
        ({"host": "evil.example:8000"}, 403),
        ({"host": "127.0.0.1.evil.example"}, 403),
        ({"host": "localhost.evil.example"}, 403),
        ({"host": "localhost"}, 200),
        ({"host": "LOCALHOST:1"}, 200),
        ({"host": "[::1]:8000"}, 200),
        ({"host": "localhost", "origin": "http://localhost"}, 200),
        ({"host": "localhost", "origin": "http://localhost.evil.example"}, 403),
        ({"host": "localhost", "origin": "null"}, 403),
    ],
)
@pytest.mark.parametrize("path", [SERIES, "/v2/repository/index"])
def test_hosts_and_origins(http, headers, status, path):
    response = http.post(path, json=body(ONE) if path == SERIES else {}, headers=headers)
    assert response.status_code == status, response.text


def test_hosts_of_a_websocket(address):
    for headers in ({"Host": "evil.example", "Origin": "http://evil.example"}, {"Origin": "http://evil.example"}):
        with pytest.raises((InvalidStatus, AssertionError)) as refused, connect_as(address, headers):
            pass
        assert "403" in str(refused.value)


def connect_as(address, headers):
    """A raw handshake: clients set Host themselves."""
    import contextlib
    import socket

    @contextlib.contextmanager
    def handshake():
        host, _, port = address.partition(":")
        lines = {"Host": address, "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
        lines |= {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", **headers}
        with socket.create_connection((host, int(port)), timeout=10) as plain:
            head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
            plain.sendall(f"GET /v2/models/series/stream HTTP/1.1\r\n{head}\r\n".encode())
            status = plain.recv(1000).split(b"\r\n")[0]
        assert b" 101 " in status, status
        yield

    return handshake()


def test_allowed_hosts(settings):
    with running(replace(settings, allowed_hosts="models.example.org, other.example")) as (address, _):
        for host, status in (("models.example.org", 200), ("other.example:80", 200), ("evil.example", 403)):
            response = httpx.get(f"http://{address}/v2", headers={"host": host})
            assert response.status_code == status
        assert "--allowed-hosts" in response.json()["error"]


def test_the_token_protects_websockets(guarded):
    with pytest.raises(InvalidStatus, match="401"):
        connect(f"ws://{guarded}/v2/models/series/stream")
    headers = {"Authorization": "Bearer secret"}
    with connect(f"ws://{guarded}/v2/models/series/stream", additional_headers=headers) as socket:
        assert "model" in socket.recv()


def test_a_browser_signs_in_and_may_open_every_address(guarded):
    page = {"accept": "text/html,*/*"}
    with httpx.Client(base_url=f"http://{guarded}") as browser:
        assert browser.get("/", headers=page).status_code == 200
        asked = browser.get("/metrics", headers=page)
        assert asked.status_code == 401 and 'action="/sign-in"' in asked.text and 'value="/metrics"' in asked.text
        assert "default-src 'none'" in asked.headers["content-security-policy"]
        wrong = browser.post("/sign-in", data={"token": "<b>no", "next": "/metrics"})
        assert wrong.status_code == 401 and "This is not the token" in wrong.text and not browser.cookies
        signed = browser.post("/sign-in", data={"token": "secret", "next": "/metrics"})
        assert signed.status_code == 303 and signed.headers["location"] == "/metrics"
        cookie = signed.headers["set-cookie"].lower()
        assert "httponly" in cookie and "samesite=strict" in cookie and "secret" not in cookie
        for path in ("/metrics", "/docs", "/openapi.json", "/v2/models"):
            assert browser.get(path, headers=page).status_code == 200
        assert browser.post(SERIES, json=body(ONE)).status_code == 200
        assert browser.post("/sign-out").status_code == 204 and not browser.cookies
        assert browser.get("/metrics").status_code == 401


def test_a_page_signs_in_with_json(guarded):
    with httpx.Client(base_url=f"http://{guarded}") as browser:
        assert browser.post("/sign-in", json={"token": "wrong"}).status_code == 401
        assert browser.post("/sign-in", json={"token": "secret"}).status_code == 204
        assert browser.get("/v2/models").status_code == 200


@pytest.mark.parametrize("cookie", ["rnnkit-session=", "rnnkit-session=secret", "rnnkit-session=0; a=b", "x=y"])
def test_made_up_cookies(guarded, cookie):
    assert httpx.get(f"http://{guarded}/v2/models", headers={"cookie": cookie}).status_code == 401


@pytest.mark.parametrize("address", ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "/\r\nx: y"])
def test_a_sign_in_goes_nowhere_else(guarded, address):
    response = httpx.post(f"http://{guarded}/sign-in", data={"token": "secret", "next": address})
    assert response.status_code == 303 and response.headers["location"] == "/"


def test_the_sign_in_page_escapes_the_address(guarded):
    found = httpx.get(f"http://{guarded}/v2/models/%22%3E%3Cscript%3E", headers={"accept": "text/html"})
    assert found.status_code == 401 and "&lt;script&gt;" in found.text and "<script>" not in found.text


def test_a_forged_form_is_refused(guarded):
    """Another site's form names it in Origin."""
    headers = {"origin": "https://evil.example"}
    response = httpx.post(f"http://{guarded}/sign-in", data={"token": "secret"}, headers=headers)
    assert response.status_code == 403


def test_paths_of_the_machine_are_not_told(settings, copied):
    (copied / "series" / "step.onnx").write_bytes(b"")
    (copied / "whole" / "manifest.json").write_text("{")
    with running(replace(settings, folder=copied)) as (address, _):
        answers = [
            httpx.post(f"http://{address}/v2/repository/index").text,
            httpx.get(f"http://{address}/v2/models/series").text,
            httpx.get(f"http://{address}/v2/models/whole").text,
            httpx.post(f"http://{address}{SERIES}", json=body(np.ones((1, 1, 4)))).text,
        ]
    assert "UNAVAILABLE" in answers[0]
    for answer in answers:
        assert str(copied) not in answer and str(copied.parent) not in answer

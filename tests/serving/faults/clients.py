"""Clients that behave badly, on plain sockets: they see exactly what the server sends, and when."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator

import numpy as np

from keras_rnnkit.bench.load import frame


class Raw:
    """A connection on which any bytes can be sent. `head`: the beginning of a request, with a right host and token."""

    def __init__(self, target, timeout: float = 20.0, receive_buffer: int | None = None):
        self.target = target
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect((target.host, target.port))
        except OSError:
            self.socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def head(self, method: str, path: str, **headers: str | int) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.target.host}:{self.target.port}"]
        if self.target.token:
            lines.append(f"Authorization: Bearer {self.target.token}")
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n").encode()

    def send(self, data: bytes) -> bool:
        """False if the server has ended the connection."""
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def received(self) -> bytes:
        """All that comes until the server ends the connection."""
        chunks = []
        with contextlib.suppress(ConnectionError):
            while chunk := self.socket.recv(65536):
                chunks.append(chunk)
        return b"".join(chunks)

    def answer(self) -> tuple[int, dict]:
        """The status and the JSON of one answer."""
        data = b""
        while b"\r\n\r\n" not in data:
            chunk = self.socket.recv(65536)
            assert chunk, "the server ended the connection without an answer"
            data += chunk
        head, _, body = data.partition(b"\r\n\r\n")
        size = next((int(v) for k, v in pairs(head) if k == b"content-length"), 0)
        while len(body) < size:
            body += self.socket.recv(65536)
        return int(head.split()[1]), json.loads(body or b"{}")


def pairs(head: bytes) -> Iterator[tuple[bytes, bytes]]:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        yield name.lower(), value.strip()


class Steps(threading.Thread):
    """A WebSocket client that takes one small step after the other. times: seconds of each."""

    def __init__(self, target, model: str, width: int, pause: float = 0.002):
        super().__init__(daemon=True)
        self.raw = Raw(target)
        head = self.raw.head(
            "GET",
            f"/v2/models/{model}/stream",
            Upgrade="websocket",
            Connection="Upgrade",
            Sec_WebSocket_Key="AAAAAAAAAAAAAAAAAAAAAA==",
            Sec_WebSocket_Version=13,
        )
        self.raw.send(head + b"\r\n")
        self.file = self.raw.socket.makefile("rb")
        assert b"101" in self.file.readline()
        while self.file.readline() != b"\r\n":
            pass
        assert b'"model"' in self.message()
        self.step, self.pause = frame(np.zeros(width, "<f4").tobytes()), pause
        self.times: list[float] = []
        self.failure: BaseException | None = None
        self.over = threading.Event()

    def message(self) -> bytes:
        first, size = self.file.read(2)
        assert first & 15 in (1, 2), first
        if size == 126:
            (size,) = struct.unpack(">H", self.file.read(2))
        return self.file.read(size)

    def run(self) -> None:
        try:
            while not self.over.is_set():
                began = time.perf_counter()
                self.raw.send(self.step)
                answer = self.message()
                self.times.append(time.perf_counter() - began)
                assert b"error" not in answer, answer
                time.sleep(self.pause)
        except BaseException as failure:
            self.failure = failure

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join(20)
        self.raw.socket.close()

    def p99(self) -> float:
        """Milliseconds."""
        assert self.failure is None and self.times, self.failure
        return 1e3 * float(np.percentile(self.times, 99))

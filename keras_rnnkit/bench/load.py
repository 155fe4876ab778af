"""Clients that cost little: one step of a stream after the other, over HTTP or a WebSocket, on plain asyncio.

What they send is made before; of what comes back only its length and its status are read.
"""

from __future__ import annotations

import asyncio
import base64
import os
import struct
import time
from functools import partial
from typing import Any

import numpy as np
import orjson


class Connection(asyncio.Protocol):
    """One client: sends a message, waits for the whole answer, sends the next."""

    def __init__(self, message: bytes, times: list[float], until: float):
        self.message, self.times, self.until = message, times, until
        self.buffer, self.done = b"", asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport

    def go(self) -> asyncio.Future:
        self.send()
        return self.done

    def send(self) -> None:
        self.began = time.perf_counter()
        self.transport.write(self.message)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        size = self.answer_size()
        if size is None or len(self.buffer) < size:
            return
        now = time.perf_counter()
        self.times.append(now - self.began)
        self.buffer = self.buffer[size:]
        if now < self.until:
            self.send()
        elif not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, error):
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server closed the connection"))

    def answer_size(self) -> int | None:
        """Of the answer that has begun to come, if that is known yet."""
        raise NotImplementedError


class Http(Connection):
    def answer_size(self) -> int | None:
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = self.buffer[:end].lower()
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(self.buffer[:2000].decode(errors="replace"))
        return end + 4 + int(head.split(b"\ncontent-length: ", 1)[1].split(b"\r\n", 1)[0])


class Socket(Connection):
    writer: asyncio.StreamWriter

    def answer_size(self) -> int | None:
        if len(self.buffer) < 4:
            return None
        if self.buffer[0] & 15 != 2:
            raise RuntimeError(self.buffer[:2000].decode(errors="replace"))
        short = self.buffer[1]
        if short < 126:
            return 2 + short
        return 4 + struct.unpack(">H", self.buffer[2:4])[0] if short == 126 else None


def frame(payload: bytes) -> bytes:
    """A message of a WebSocket client; masked with zeros, which leaves it as it is."""
    size = bytes([128 | len(payload)]) if len(payload) < 126 else bytes([254]) + struct.pack(">H", len(payload))
    return b"\x82" + size + bytes(4) + payload


def posted(path: str, body: bytes, **headers: str) -> bytes:
    known = {"Host": "127.0.0.1", "Content-Length": str(len(body)), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in known.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def inferred(model: str, name: str, kind: str, x: np.ndarray, session: int, start: bool, binary: bool) -> bytes:
    """A request for the next step of a session, as JSON or with bytes."""
    entry: dict[str, Any] = {"name": name, "datatype": kind, "shape": list(x.shape)}
    data = x.tobytes() if binary else b""
    entry |= {"parameters": {"binary_data_size": len(data)}} if binary else {"data": x.ravel().tolist()}
    parameters = {"sequence_id": session, "sequence_start": start, "binary_data_output": binary}
    head = orjson.dumps({"inputs": [entry], "parameters": parameters})
    extra = {"Inference-Header-Content-Length": str(len(head))} if binary else {}
    return posted(f"/v2/models/{model}/infer", head + data, **extra)


async def upgraded(port: int, model: str, times: list[float], until: float, payload: bytes) -> Socket:
    """A WebSocket on which the server has said hello."""
    key = base64.b64encode(os.urandom(16)).decode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"GET /v2/models/{model}/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    first, size = await reader.readexactly(2)
    size = size if size < 126 else struct.unpack(">H", await reader.readexactly(2))[0]
    hello = await reader.readexactly(size)
    if first != 0x81 or b'"model"' not in hello:
        raise RuntimeError(hello.decode(errors="replace"))
    socket = Socket(frame(payload), times, until)
    socket.writer = writer  # which would close the connection when it is forgotten
    writer.transport.set_protocol(socket)
    socket.connection_made(writer.transport)
    return socket


def as_it_is(client: Connection) -> Connection:
    return client


async def load(port: int, model: str, name: str, kind: str, x: np.ndarray, how: str, connections: int, seconds: float):
    """Seconds that each step took, and how long all of it took."""
    loop, times = asyncio.get_running_loop(), []  # type: ignore[var-annotated]
    clients: list[Connection] = []
    for i in range(connections):
        if how == "websocket":
            clients.append(await upgraded(port, model, times, 0.0, x.tobytes()))
            continue
        begin = inferred(model, name, kind, x, i + 1, True, how == "binary")
        client: Connection = Http(begin, [], 0.0)
        await loop.create_connection(partial(as_it_is, client), "127.0.0.1", port)
        await client.go()  # the session begins
        client.done, client.times = loop.create_future(), times
        client.message = inferred(model, name, kind, x, i + 1, False, how == "binary")
        clients.append(client)
    began = time.perf_counter()
    for client in clients:
        client.until = began + seconds
    await asyncio.gather(*(client.go() for client in clients))
    taken = time.perf_counter() - began
    for client in clients:
        client.transport.close()
    return np.array(times), taken

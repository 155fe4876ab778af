"""Streams over a WebSocket: a connection is a stream, a message is a chunk, the answer its outputs.

The server begins with {"model", "inputs", "outputs", "rows"}. Then, as often as the client likes:

    bytes                       the chunk of the only input, its numbers in order, low byte first; back come the first
                                output's numbers in the same way
    {"inputs": {name: list}}    a chunk as JSON; back comes {"outputs": {name: list}}
    {"reset": true}             the stream starts anew; back comes {"reset": true}

Query: rows=N for N streams side by side. A chunk that cannot be run is answered by {"error": ...}; the state stays.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
import uuid
from collections.abc import MutableMapping
from typing import Any

import numpy as np
import orjson
from starlette.websockets import WebSocket, WebSocketDisconnect

from keras_rnnkit.serving.errors import ServingError, malformed
from keras_rnnkit.serving.http import wire_format
from keras_rnnkit.serving.http.errors import refusal
from keras_rnnkit.serving.http.requests import allowed
from keras_rnnkit.serving.models.served_model import ServedModel
from keras_rnnkit.serving.observability import logs

GOING_AWAY, REFUSED, TRY_LATER = 1001, 1008, 1013


def stream_socket(server):
    async def run(socket: WebSocket) -> None:
        began, name = time.perf_counter(), f"websocket-{uuid.uuid4().hex}"
        try:
            allowed(server.settings, socket)
            model = server.repository.find(socket.path_params["model"], socket.path_params.get("version"))
            stream = SocketStream(model, name, rows_of(socket, server.settings.max_rows))
        except Exception as error:
            response, reason = refusal(error)
            server.metrics.failed("unknown", reason, time.perf_counter() - began)
            await socket.accept()
            await socket.send_text(bytes(response.body).decode())
            await socket.close(REFUSED)
            return
        await socket.accept()
        farewell = asyncio.ensure_future(told(socket, stream, server.stopping))
        count = 0
        try:
            await socket.send_text(wire_format.json_bytes(stream.greeting()).decode())
            while (message := await socket.receive())["type"] != "websocket.disconnect":
                server.under_way += 1
                stream.busy = True
                try:
                    text, data = await stream.answered(message)
                except Exception as error:
                    response, reason = refusal(error)
                    server.metrics.failed(model.name, reason, 0.0)
                    text, data = bytes(response.body).decode(), None
                finally:
                    server.under_way -= 1
                count += 1
                await (socket.send_bytes(data) if data is not None else socket.send_text(text or ""))
                stream.busy = False
                await asyncio.sleep(0)  # others' turn: a stream alone waits for nothing while messages lie ready
        except (WebSocketDisconnect, RuntimeError):  # it left while it was being answered, or was told to go
            pass
        finally:
            farewell.cancel()
            stream.end()
            logs.access(socket.scope, 101, began, name, messages=count)

    return run


async def told(socket: WebSocket, stream: SocketStream, stopping: asyncio.Event) -> None:
    """Close the connection when the server stops, after what is being answered."""
    await stopping.wait()
    while stream.busy:
        await asyncio.sleep(0.01)
    with contextlib.suppress(RuntimeError):
        await socket.close(GOING_AWAY, "the server is stopping")


def rows_of(socket: WebSocket, most: int) -> int:
    given = socket.query_params.get("rows", "1")
    if not (given.isascii() and given.isdigit() and len(given) < 9 and 1 <= int(given) <= most):
        raise malformed(f"rows is a number from 1 to {most}. Received: {given[:40]!r}.")
    return int(given)


class SocketStream:
    """The stream of one connection."""

    def __init__(self, model: ServedModel, name: str, rows: int):
        if model.step is None:
            raise malformed(f"The model {model.name!r} has no step graph, so it cannot stream. Export it with streams.")
        self.model, self.name, self.rows = model, name, rows
        self.graph = model.step.graph
        self.started = self.busy = False
        self.name_in, self.name_out = self.graph.inputs[0], self.graph.outputs[0]
        self.dtype = np.dtype(self.graph.kinds[self.name_in]).newbyteorder("<")
        self.inner = tuple(self.graph.shapes[self.name_in][2:])
        self.width = rows * self.dtype.itemsize * math.prod(n if isinstance(n, int) else 1 for n in self.inner)

    def greeting(self) -> dict[str, Any]:
        known = self.model.metadata()
        return {"model": known["name"], "inputs": known["inputs"], "outputs": known["outputs"], "rows": self.rows}

    async def answered(self, message: MutableMapping[str, Any]) -> tuple[str | None, bytes | None]:
        """The text or the bytes that answer a message."""
        began = time.perf_counter()
        data = message.get("bytes")
        if data is not None:
            found = await self.pushed({self.name_in: self.chunk(data)})
            self.count(began)
            first = found[self.name_out]
            return None, first.astype(first.dtype.newbyteorder("<"), copy=False).tobytes()
        try:
            asked = orjson.loads(message.get("text") or "")
        except orjson.JSONDecodeError as error:
            raise malformed(f"The message is not JSON: {error}.") from None
        if not isinstance(asked, dict):
            raise malformed("A message is bytes, or a JSON object with inputs or reset.")
        if asked.get("reset") is True:
            self.end()
            return '{"reset":true}', None
        if not isinstance(asked.get("inputs"), dict):
            raise malformed('A message has "inputs", an object of lists by name, or "reset": true.')
        found = await self.pushed({name: listed(name, value) for name, value in asked["inputs"].items()})
        self.count(began)
        return wire_format.json_bytes({"outputs": found}).decode(), None

    def count(self, began: float) -> None:
        """Among the requests answered; after the answer is on its way."""
        loop, seconds = asyncio.get_running_loop(), time.perf_counter() - began
        loop.call_soon(self.model.metrics.answered, self.model.name, "websocket", seconds)

    async def pushed(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        start, self.started = not self.started, True
        try:
            return await self.model.next(self.name, inputs, start, False, self.model.settings.deadline)
        except ServingError as error:
            if error.reason == "malformed" and not start and self.name not in self.model.sessions.known:  # type: ignore
                self.started = False
                raise malformed("The stream was dropped, being unused for long. The next chunk begins anew.") from None
            self.started = not start
            raise
        except BaseException:
            self.started = not start
            raise

    def chunk(self, data: bytes) -> np.ndarray:
        """The numbers of a message as the input [rows, steps, ...]."""
        if len(self.graph.inputs) != 1:
            raise malformed(f"The model has {len(self.graph.inputs)} inputs. Send them as JSON.")
        if not data or len(data) % self.width or not all(isinstance(size, int) for size in self.inner):
            raise malformed(
                f"A chunk of {self.name_in!r} is a multiple of {self.width} bytes: {self.rows} row(s) of steps of "
                f"{list(self.inner)} {self.dtype.name}. Received: {len(data)} bytes."
            )
        array = np.frombuffer(data, self.dtype).reshape(self.rows, len(data) // self.width, *self.inner)
        return wire_format.finite(self.name_in, array.astype(self.dtype.newbyteorder("="), copy=False))

    def end(self) -> None:
        if self.model.sessions is not None:
            self.model.sessions.end(self.name)
        self.started = False


def listed(name: str, value: Any) -> np.ndarray:
    if not isinstance(value, list):
        raise malformed(f"The input {name[:80]!r} is a list of numbers.")
    try:
        array = np.array(value)
    except ValueError:
        array = np.array(None)
    if array.dtype.kind not in "iufb":
        raise malformed(f"The input {name[:80]!r} is a list of numbers, nested to one shape.")
    return wire_format.finite(name, array)

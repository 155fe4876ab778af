"""Streams over a WebSocket: a connection is a stream, a message is a chunk, the answer its outputs.

The server begins with {"model", "inputs", "outputs", "rows"}. Then, as often as the client likes:

    bytes                       the chunk of the only input, its numbers in order, low byte first; back come the first
                                output's numbers in the same way
    {"inputs": {name: list}}    a chunk as JSON; back comes {"outputs": {name: list}}
    {"reset": true}             the stream starts anew; back comes {"reset": true}

Query: rows=N for N streams side by side. A chunk that cannot be run is answered by {"error": ...}; the state stays.
When the model is replaced by a newer one, the stream has ended: chunks are answered by an error until a reset, after
which it goes on with the new model.
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
from starlette.websockets import WebSocket, WebSocketDisconnect

from keras_rnnkit.serving.errors import ServingError, malformed
from keras_rnnkit.serving.http import transcoder, wire_format
from keras_rnnkit.serving.http.bodies import SMALL
from keras_rnnkit.serving.http.errors import refusal
from keras_rnnkit.serving.http.exchange import MANY
from keras_rnnkit.serving.http.state import ServerState
from keras_rnnkit.serving.models.datatypes import low_byte_first
from keras_rnnkit.serving.models.served_model import LARGE, ServedModel
from keras_rnnkit.serving.observability import logs

GOING_AWAY, REFUSED, TRY_LATER = 1001, 1008, 1013


ROUTE = "/v2/models/{model}/stream"


def stream_socket(server: ServerState):
    async def run(socket: WebSocket) -> None:
        began = time.perf_counter()
        request_id = socket.headers.get("x-request-id", "")[:128] or uuid.uuid4().hex
        try:
            server.access.check(socket.scope)
            stream = SocketStream(server, socket, f"websocket-{uuid.uuid4().hex}")
        except Exception as error:
            await refused(server, socket, error, began, request_id)
            return
        await socket.accept(headers=[(b"x-request-id", request_id.encode("latin-1", "replace"))])
        farewell = asyncio.ensure_future(told(socket, stream, server.stopping))
        count = 0
        try:
            await socket.send_text(wire_format.json_bytes(stream.greeting()).decode())
            while (message := await socket.receive())["type"] != "websocket.disconnect":
                received = time.perf_counter()
                text, data, status = await stream.reply_to(message)
                server.metrics.answered(stream.model.name, ROUTE, status, time.perf_counter() - received)
                count += 1
                await (socket.send_bytes(data) if data is not None else socket.send_text(text or ""))
                stream.busy = False
                await asyncio.sleep(0)  # others' turn: a stream alone waits for nothing while messages lie ready
        except (WebSocketDisconnect, RuntimeError):  # it left while it was being answered, or was told to go
            pass
        finally:
            farewell.cancel()
            stream.end()
            logs.access(socket.scope, 101, began, request_id, messages=count)

    return run


async def refused(server: ServerState, socket: WebSocket, error: Exception, began: float, request_id: str) -> None:
    """A connection that cannot be a stream: it is told why in a message, as browsers do not show answers to an
    upgrade; one without the right to be here gets the plain status."""
    response, reason = refusal(error)
    server.metrics.failed("unknown", ROUTE, reason)
    logs.access(socket.scope, response.status_code, began, request_id, reason=reason)
    if response.status_code in (401, 403) and "websocket.http.response" in socket.scope.get("extensions", {}):
        await socket.send_denial_response(response)
        return
    await socket.accept()
    await socket.send_text(bytes(response.body).decode())
    await socket.close(REFUSED)


async def told(socket: WebSocket, stream: SocketStream, stopping: asyncio.Event) -> None:
    """Close the connection when the server stops, after what is being answered."""
    await stopping.wait()
    while stream.busy:
        await asyncio.sleep(0.01)
    with contextlib.suppress(RuntimeError):
        await socket.close(GOING_AWAY, "the server is stopping")


def rows_of(socket: WebSocket, most: int) -> int:
    rows = socket.query_params.get("rows", "1")
    if not (rows.isascii() and rows.isdigit() and len(rows) < 9 and 1 <= int(rows) <= most):
        raise malformed(f"rows must be a number from 1 to {most}. Received: {rows[:40]!r}.")
    return int(rows)


class SocketStream:
    """The stream of one connection. busy: whether a message is being answered."""

    def __init__(self, server: ServerState, socket: WebSocket, name: str):
        self.server, self.name = server, name
        self.path = socket.path_params["model"], socket.path_params.get("version")
        self.rows = rows_of(socket, server.settings.max_rows)
        self.started = self.busy = False
        self.join(server.repository.find(*self.path))

    def join(self, model: ServedModel) -> None:
        """Take a model for the chunks that come."""
        if model.step is None:
            raise malformed(f"The model {model.name!r} has no step graph, so it cannot stream. Export it with streams.")
        self.model, self.graph = model, model.step.graph
        self.name_in, self.name_out = self.graph.inputs[0], self.graph.outputs[0]
        self.native = np.dtype(self.graph.kinds[self.name_in])
        self.dtype = self.native.newbyteorder("<")
        self.inner = tuple(self.graph.shapes[self.name_in][2:])
        self.chunks = len(self.graph.inputs) == 1 and all(isinstance(size, int) for size in self.inner)
        self.width = self.rows * self.dtype.itemsize * math.prod(n if isinstance(n, int) else 1 for n in self.inner)

    def greeting(self) -> dict[str, Any]:
        metadata = self.model.metadata
        return {
            "model": metadata["name"],
            "inputs": metadata["inputs"],
            "outputs": metadata["outputs"],
            "rows": self.rows,
        }

    async def reply_to(self, message: MutableMapping[str, Any]) -> tuple[str | None, bytes | None, int]:
        """The text or the bytes that answer a message, whatever comes of it, and its status."""
        self.busy = True
        self.server.in_progress += 1
        try:
            return *await self.answered(message), 200
        except Exception as error:
            response, reason = refusal(error)
            self.model.metrics.failed(self.model.name, ROUTE, reason)
            return bytes(response.body).decode(), None, response.status_code
        finally:
            self.server.in_progress -= 1

    async def answered(self, message: MutableMapping[str, Any]) -> tuple[str | None, bytes | None]:
        data = message.get("bytes")
        if data is None:
            return await self.answered_json(message.get("text") or "")
        chunk = await asyncio.to_thread(self.chunk, data) if len(data) > LARGE else self.chunk(data)
        outputs = await self.pushed({self.name_in: chunk})
        return None, low_byte_first(outputs[self.name_out]).tobytes()

    async def answered_json(self, text: str) -> tuple[str | None, None]:
        if len(text) > SMALL:
            body, length = await self.server.transcoder.run(transcoder.MESSAGE, text.encode(), 0)
            asked, rest = wire_format.parsed(body, length)
            arrays = wire_format.inputs(asked, rest) if asked["inputs"] else None
        else:
            asked, arrays = wire_format.parsed(text.encode())[0], None
        if asked.get("reset") is True:
            self.reset()
            return '{"reset":true}', None
        if arrays is None:
            if not isinstance(asked.get("inputs"), dict):
                raise malformed('A message must have "inputs", an object of lists by name, or "reset": true.')
            arrays = {name: wire_format.untyped(name, value) for name, value in asked["inputs"].items()}
        return await self.written(await self.pushed(arrays)), None

    async def written(self, outputs: dict[str, np.ndarray]) -> str:
        if sum(array.size for array in outputs.values()) <= MANY:
            return wire_format.json_bytes({"outputs": outputs}).decode()
        binary = dict.fromkeys(outputs, wire_format.Wanted(binary=True))
        body, length = await asyncio.to_thread(wire_format.encoded, {}, outputs, binary)
        text, _ = await self.server.transcoder.run(transcoder.REPLY, body, length)
        return text.decode()

    async def pushed(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        if self.model.retired is not None:
            raise malformed(f'{self.model.retired} The stream has ended; send {{"reset": true}} to begin anew.')
        start, self.started = not self.started, True
        try:
            return await self.model.next(self.name, inputs, start, False, self.model.settings.deadline)
        except ServingError as error:
            if error.reason == "malformed" and not start and self.name not in self.model.sessions.by_name:  # type: ignore
                self.started = False
                raise malformed("The stream was dropped, being unused for long. The next chunk begins anew.") from None
            self.started = not start
            raise
        except BaseException:
            self.started = not start
            raise

    def chunk(self, data: bytes) -> np.ndarray:
        """The numbers of a message as the input [rows, steps, ...]."""
        if not self.chunks:
            raise malformed(
                "Chunks of bytes are for models with one input, whose steps have a fixed shape. This one has "
                f"{len(self.graph.inputs)} input(s), the first of shape {self.graph.shapes[self.name_in]}. Send JSON."
            )
        if not data or len(data) % self.width:
            raise malformed(
                f"A chunk of {self.name_in!r} must be a multiple of {self.width} bytes: {self.rows} row(s) of steps of "
                f"{list(self.inner)} {self.dtype.name}. Received: {len(data)} bytes."
            )
        array = np.frombuffer(data, self.dtype).reshape(self.rows, len(data) // self.width, *self.inner)
        return wire_format.finite(self.name_in, array.astype(self.native, copy=False))

    def reset(self) -> None:
        """Begin anew, with a newer model where there is one."""
        self.end()
        if self.model.retired is not None:
            self.join(self.server.repository.find(*self.path))

    def end(self) -> None:
        if self.model.sessions is not None:
            self.model.sessions.end(self.name)
        self.started = False

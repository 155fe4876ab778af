"""What is computed for clients: outputs of whole sequences and of streams, and texts, whole or token by token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from keras_rnnkit.serving.errors import ServingError, malformed, unavailable
from keras_rnnkit.serving.http import wire_format
from keras_rnnkit.serving.http.bodies import MAX_IMAGE, MAX_TEXT, object_of
from keras_rnnkit.serving.http.errors import answer, refusal
from keras_rnnkit.serving.http.exchange import answer_of, request_of
from keras_rnnkit.serving.http.requests import model_of
from keras_rnnkit.serving.http.state import ServerState
from keras_rnnkit.serving.models import generation, translation


async def infer(server: ServerState, request: Request) -> Response:
    model = model_of(server, request)
    asked, inputs = await request_of(server, request)
    options = wire_format.parameters(asked)
    wanted = wire_format.wanted(asked, model.graph.outputs)
    timeout = time_of(options, server.settings.deadline)
    name, start, end = sequence_of(options)
    if name is None and model.translator is not None:
        outputs = await translation.outputs(model, inputs, timeout)
    elif name is None:
        outputs = await model.whole(inputs, timeout)
    else:
        outputs = await model.next(name, inputs, start, end, timeout)
    head: dict[str, Any] = {"model_name": model.name, "model_version": "1"}
    if isinstance(asked.get("id"), str):
        head["id"] = asked["id"]
    if name is not None:
        head["parameters"] = {"sequence_id": name, "sequence_start": start, "sequence_end": end}
    return await answer_of(server, head, outputs, wanted, model.labels)


def sequence_of(options: dict[str, Any]) -> tuple[int | str | None, bool, bool]:
    """Which sequence a request is of, whether it begins and whether it ends there; 0 and "" are none."""
    name = options.get("sequence_id")
    start, end = options.get("sequence_start", False), options.get("sequence_end", False)
    if not isinstance(start, bool) or not isinstance(end, bool):
        raise malformed("sequence_start and sequence_end must be true or false.")
    if name is None or name == 0 or name == "":
        return None, start, end
    if isinstance(name, bool) or not isinstance(name, int | str) or (isinstance(name, str) and len(name) > 256):
        raise malformed("sequence_id must be a whole number or a text of up to 256 characters.")
    return name, start, end


def time_of(options: dict[str, Any], deadline: float) -> float:
    """Seconds that a request may wait; `timeout` is in microseconds."""
    timeout = options.get("timeout", 0)
    if isinstance(timeout, bool) or not isinstance(timeout, int) or timeout < 0:
        raise malformed(f"timeout must be a number of microseconds. Received: {str(timeout)[:40]!r}.")
    return min(deadline, timeout / 1e6) if timeout else deadline


async def generate(server: ServerState, request: Request) -> Response:
    model = model_of(server, request)
    asked = await object_of(server, request, MAX_IMAGE if model.details["kind"] == "captions" else MAX_TEXT)
    if model.translator is not None:
        return await generating(server, request, lambda: translation.complete(model, asked))
    wish = generation.Generation(model, asked)
    return await generating(server, request, lambda: generation.complete(wish))


async def generating(server: ServerState, request: Request, work: Callable[[], Awaitable[Any]]) -> Response:
    """The answer that `work` gives, in a place among the generations, within the deadline, while the client stays."""
    with server.generating():
        try:
            async with asyncio.timeout(server.settings.deadline):
                return answer(await unless_gone(request, work()))
        except TimeoutError:
            raise ServingError(
                504, "deadline", "The generation took too long. Ask for fewer tokens or steps, or stream."
            ) from None


async def unless_gone(request: Request, work: Awaitable[Any]) -> Any:
    """The result, or an end as soon as the client has left."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(request.receive())  # the body is read; what comes next is that the client leaves
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        for each in (task, gone):
            each.cancel()


async def generate_stream(server: ServerState, request: Request) -> Response:
    wish = generation.Generation(model_of(server, request), await object_of(server, request))
    if wish.strategy.rows > 1:
        raise malformed("A beam may take back what it gave: use generate, or leave out beam.")
    return EventStream(server, wish)


class EventStream(StreamingResponse):
    """Server-sent events, one a token. It holds a place among the generations until it ends, however it ends."""

    def __init__(self, server: ServerState, wish: generation.Generation):
        self.events = events(server, wish)
        super().__init__(self.events, media_type="text/event-stream", headers={"cache-control": "no-store"})
        self.server, self.place = server, server.generating()
        self.place.__enter__()
        server.in_progress += 1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.server.in_progress -= 1
            self.place.__exit__(None, None, None)
            await self.events.aclose()


async def events(server: ServerState, wish: generation.Generation) -> AsyncGenerator[bytes, None]:
    """The events; a failure on the way is one with {"error": ...}."""
    try:
        async for piece in generation.pieces(wish):
            yield b"data: " + wire_format.json_bytes(piece) + b"\n\n"
            if server.over.is_set():
                raise unavailable("The server is stopping; this is how far it came.")
    except Exception as error:
        response, reason = refusal(error)
        server.metrics.failed(wish.model.name, "/v2/models/{model}/generate_stream", reason)
        yield b"data: " + bytes(response.body) + b"\n\n"

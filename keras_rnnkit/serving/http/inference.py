"""What is computed for clients: outputs of whole sequences and of streams, and texts, whole or token by token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from keras_rnnkit.serving.errors import ServingError, malformed, unavailable
from keras_rnnkit.serving.http import wire_format
from keras_rnnkit.serving.http.errors import answer, refusal
from keras_rnnkit.serving.http.requests import body_of, model_of, object_of
from keras_rnnkit.serving.models import generation, translation
from keras_rnnkit.serving.state import ServerState


async def infer(server: ServerState, request: Request) -> Response:
    model = model_of(server, request)
    asked, rest = wire_format.parsed(await body_of(server, request), request.headers.get(wire_format.HEADER))
    inputs, given = wire_format.inputs(asked, rest), wire_format.parameters(asked)
    binary = wire_format.wanted(asked, model.graph.outputs)
    timeout = time_of(given, server.settings.deadline)
    name, start, end = sequence_of(given)
    if name is None and model.translator is not None:
        found = await translation.outputs(model, inputs, timeout)
    elif name is None:
        found = await model.whole(inputs, timeout)
    else:
        found = await model.next(name, inputs, start, end, timeout)
    head: dict[str, Any] = {"model_name": model.name, "model_version": "1"}
    if isinstance(asked.get("id"), str):
        head["id"] = asked["id"]
    if name is not None:
        head["parameters"] = {"sequence_id": name, "sequence_start": start, "sequence_end": end}
    body, length = wire_format.encoded(head, found, binary)
    if length is None:
        return Response(body, media_type="application/json")
    return Response(body, headers={wire_format.HEADER: str(length)}, media_type="application/octet-stream")


def sequence_of(given: dict[str, Any]) -> tuple[int | str | None, bool, bool]:
    """Which sequence a request is of, whether it begins and whether it ends there; 0 and "" are none."""
    name, start, end = given.get("sequence_id"), given.get("sequence_start", False), given.get("sequence_end", False)
    if not isinstance(start, bool) or not isinstance(end, bool):
        raise malformed("sequence_start and sequence_end are true or false.")
    if name is None or name == 0 or name == "":
        return None, start, end
    if isinstance(name, bool) or not isinstance(name, int | str) or (isinstance(name, str) and len(name) > 256):
        raise malformed("sequence_id is a whole number or a text of up to 256 characters.")
    return name, start, end


def time_of(given: dict[str, Any], deadline: float) -> float:
    """Seconds that a request may wait; `timeout` is in microseconds."""
    timeout = given.get("timeout", 0)
    if isinstance(timeout, bool) or not isinstance(timeout, int) or timeout < 0:
        raise malformed(f"timeout is a number of microseconds. Received: {str(timeout)[:40]!r}.")
    return min(deadline, timeout / 1e6) if timeout else deadline


async def generate(server: ServerState, request: Request) -> Response:
    model, wish = model_of(server, request), await object_of(server, request)
    asked = None if model.translator is not None else generation.Generation(model, wish)
    with server.generating():
        work = translation.complete(model, wish) if asked is None else generation.complete(asked)
        try:
            async with asyncio.timeout(server.settings.deadline):
                return answer(await unless_gone(request, work))
        except TimeoutError:
            raise ServingError(
                504, "deadline", "The generation took too long. Ask for fewer tokens, or stream."
            ) from None


async def unless_gone(request: Request, work) -> Any:
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
    asked = generation.Generation(model_of(server, request), await object_of(server, request))
    if asked.strategy.rows > 1:
        raise malformed("A beam may take back what it gave: use generate, or leave out beam.")
    place = server.generating()
    place.__enter__()
    return StreamingResponse(
        events(server, asked, place), media_type="text/event-stream", headers={"cache-control": "no-store"}
    )


async def events(server: ServerState, asked: generation.Generation, place) -> AsyncIterator[bytes]:
    """Server-sent events, one a token; a failure on the way is an event with {"error": ...}."""
    server.under_way += 1
    try:
        async for piece in generation.pieces(asked):
            yield b"data: " + wire_format.json_bytes(piece) + b"\n\n"
            if server.over.is_set():
                raise unavailable("The server is stopping; this is how far it came.")
    except Exception as error:
        response, reason = refusal(error)
        server.metrics.failed(asked.model.name, reason, 0.0)
        yield b"data: " + bytes(response.body) + b"\n\n"
    finally:
        server.under_way -= 1
        place.__exit__(None, None, None)

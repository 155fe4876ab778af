"""Tensors in and out of requests, the large ones away from the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from keras_rnnkit.serving.http import transcoder, wire_format
from keras_rnnkit.serving.http.bodies import SMALL, body_of
from keras_rnnkit.serving.http.state import ServerState
from keras_rnnkit.serving.http.wire_format import Wanted
from keras_rnnkit.serving.models.served_model import LARGE

MANY = 8_192
"""Numbers that are written as JSON on the event loop: a third of a millisecond."""


async def request_of(server: ServerState, request: Request) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The JSON of a request, and its tensors."""
    body = await body_of(server, request)
    length = wire_format.json_length(request.headers.get(wire_format.HEADER), len(body))
    if length > SMALL:
        body, length = await server.transcoder.run(transcoder.REQUEST, body, length)
    asked, rest = wire_format.parsed(body, length)
    if len(rest) > LARGE:
        return asked, await asyncio.to_thread(wire_format.inputs, asked, rest)
    return asked, wire_format.inputs(asked, rest)


async def answer_of(
    server: ServerState,
    head: dict[str, Any],
    arrays: Mapping[str, np.ndarray],
    wanted: Mapping[str, Wanted],
    labels: list[str] | None,
) -> Response:
    """The response with these outputs."""
    as_text = size = classes = 0
    for name, how in wanted.items():
        size += arrays[name].nbytes
        as_text += 0 if how.binary else arrays[name].size
        classes += how.classes
    if as_text > MANY and not classes:
        return await written_apart(server, head, arrays, wanted)
    if size > LARGE:
        body, length = await asyncio.to_thread(wire_format.encoded, head, arrays, wanted, labels)
    else:
        body, length = wire_format.encoded(head, arrays, wanted, labels)
    return response_of(body, length)


async def written_apart(
    server: ServerState, head: dict[str, Any], arrays: Mapping[str, np.ndarray], wanted: Mapping[str, Wanted]
) -> Response:
    """An answer whose JSON is large: written by the transcoder, from bytes."""
    binary = {name: Wanted(binary=True) for name in wanted}
    marked = {**head, transcoder.STAYS_BINARY: [name for name, how in wanted.items() if how.binary]}
    body, length = await asyncio.to_thread(wire_format.encoded, marked, arrays, binary)
    text, length = await server.transcoder.run(transcoder.ANSWER, body, length)
    return response_of(text, length)


def response_of(body: bytes, length: int) -> Response:
    if length == len(body):
        return Response(body, media_type="application/json")
    return Response(body, headers={wire_format.HEADER: str(length)}, media_type="application/octet-stream")

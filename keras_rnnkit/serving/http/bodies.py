"""The bodies of requests: read, unpacked and kept within limits."""

from __future__ import annotations

import asyncio
import zlib
from typing import Any

from starlette.requests import Request

from keras_rnnkit.serving.errors import ServingError, malformed, too_large
from keras_rnnkit.serving.http import wire_format
from keras_rnnkit.serving.http.state import ServerState

ENCODINGS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
"""What zlib calls the formats of bodies that are packed."""
SMALL = 64 * 2**10
"""Bytes that are counted against no other request, and read as JSON on the event loop: half a millisecond."""
MAX_TEXT = 256 * 2**10
"""Bytes of a request that holds a text or a short series."""
MAX_IMAGE = 2**20
"""Bytes of a request that holds an image in base64, which takes about as long to read as MAX_TEXT of numbers."""


async def body_of(server: ServerState, request: Request, most: int | None = None) -> bytes | bytearray:
    """The bytes of a request, refused as soon as they are too many."""
    most = min(most or server.settings.max_body, server.settings.max_body)
    length, encoding = request.headers.get("content-length", "0"), request.headers.get("content-encoding", "identity")
    if length.isascii() and length.isdigit() and int(length[:19]) > most:
        raise too_large(f"A request to this address may have {most:,} bytes. Received: {int(length[:19]):,}.")
    body = await received(server, request, most)
    if encoding.strip().lower() in ("identity", ""):
        return body
    return await asyncio.to_thread(unpacked, body, encoding.strip().lower(), most)


async def received(server: ServerState, request: Request, most: int) -> bytes | bytearray:
    """The bytes as they came. Large ones are counted until the request has been answered (`let_go`)."""
    body: bytes | bytearray = b""
    async for chunk in request.stream():
        if body:
            body = body if isinstance(body, bytearray) else bytearray(body)
            body += chunk
        else:
            body = chunk
        if len(body) > most:
            raise too_large(f"A request to this address may have {most:,} bytes.")
        if len(body) > SMALL:
            hold(server, request, len(body))
    return body


def hold(server: ServerState, request: Request, size: int) -> None:
    server.hold(size - request.scope.get("held", 0))
    request.scope["held"] = size


def let_go(server: ServerState, request: Request) -> None:
    """The request has been answered, so its body no longer takes memory."""
    server.release(request.scope.pop("held", 0))


def unpacked(body: bytes | bytearray, encoding: str, most: int) -> bytes:
    """The content of a packed body. It is never larger than what is allowed, however well it was packed."""
    if encoding not in ENCODINGS:
        raise ServingError(
            415, "encoding", f"A body may be packed with gzip or deflate. Received: Content-Encoding {encoding[:40]!r}."
        )
    unpacker = zlib.decompressobj(ENCODINGS[encoding])
    try:
        content = unpacker.decompress(body, most + 1)
    except zlib.error as error:
        raise malformed(f"The body is not {encoding}: {error}.") from None
    if len(content) > most:
        raise too_large(f"A request to this address may have {most:,} bytes; this one has more when it is unpacked.")
    if not unpacker.eof or unpacker.unused_data:
        raise malformed(f"The body is not one complete {encoding}.")
    return content


async def object_of(server: ServerState, request: Request, most: int = MAX_TEXT) -> dict[str, Any]:
    """The JSON object of a request that holds a text, a short series or the bytes of an image."""
    return wire_format.parsed(await body_of(server, request, most), None)[0]

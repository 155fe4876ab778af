"""What every request has: a right to be asked, an id, a line in the log, limits, and errors as answers."""

from __future__ import annotations

import hmac
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from keras_rnnkit.serving.errors import ServingError, too_large
from keras_rnnkit.serving.http import wire_format
from keras_rnnkit.serving.http.errors import refusal
from keras_rnnkit.serving.models.served_model import ServedModel
from keras_rnnkit.serving.observability import logs
from keras_rnnkit.serving.settings import Settings
from keras_rnnkit.serving.state import ServerState

OPEN = ("/", "/v2/health/live", "/v2/health/ready")
"""What needs no token: health, and the page, which asks for it."""

Handler = Callable[[ServerState, Request], Awaitable[Response]]


def endpoint(server: ServerState, handler: Handler, kind: str) -> Callable[[Request], Awaitable[Response]]:
    """The handler with what every request has: a right to be here, an id, a line in the log, errors as answers."""

    async def run(request: Request) -> Response:
        began = time.perf_counter()
        request_id = request.headers.get("x-request-id", "")[:128] or uuid.uuid4().hex
        model, reason = request.path_params.get("model", ""), None
        server.under_way += 1
        try:
            allowed(server.settings, request)
            response = await handler(server, request)
        except Exception as error:
            response, reason = refusal(error)
        finally:
            server.under_way -= 1
        seconds = time.perf_counter() - began
        if model:
            known = model if model in server.repository.models else "unknown"
            if reason is None:
                server.metrics.answered(known, kind, seconds)
            else:
                server.metrics.failed(known, reason, seconds)
        response.raw_headers.append((b"x-request-id", request_id.encode("latin-1")))
        if server.stopping.is_set():
            response.raw_headers.append((b"connection", b"close"))
        logs.access(request.scope, response.status_code, began, request_id, **({"reason": reason} if reason else {}))
        return response

    return run


def allowed(settings: Settings, request) -> None:
    """Whether this client may ask: with the token, and from no page of another site."""
    origin = request.headers.get("origin")
    if origin and origin.split("://", 1)[-1] != request.headers.get("host"):
        raise ServingError(403, "origin", f"Pages of {origin[:200]!r} may not use this server.")
    path = request.scope["path"]
    if settings.token is None or path in OPEN or path.startswith("/static/"):
        return
    given = request.headers.get("authorization", "")
    if not hmac.compare_digest(given.encode(), f"Bearer {settings.token}".encode()):
        raise ServingError(401, "token", "This server wants its token: Authorization: Bearer TOKEN.")


async def body_of(server: ServerState, request: Request) -> bytes:
    """The request's bytes, refused as soon as they are too many."""
    most = server.settings.max_body
    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length) > most:
        raise too_large(f"A request has {most:,} bytes at most. Received: {int(length):,}.")
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most:
            raise too_large(f"A request has {most:,} bytes at most.")
        chunks.append(chunk)
    return b"".join(chunks)


async def object_of(server: ServerState, request: Request) -> dict[str, Any]:
    return wire_format.parsed(await body_of(server, request), None)[0]


def model_of(server: ServerState, request: Request) -> ServedModel:
    return server.repository.find(request.path_params["model"], request.path_params.get("version"))

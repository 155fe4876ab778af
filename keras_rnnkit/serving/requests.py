"""What every request has: a right to be asked, an id, a line in the log, limits, and errors as answers."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from keras_rnnkit.runtime import InputError
from keras_rnnkit.serving import logs, tensors
from keras_rnnkit.serving.errors import ServingError, busy, too_large
from keras_rnnkit.serving.metrics import Metrics
from keras_rnnkit.serving.repository import Repository
from keras_rnnkit.serving.served import Served
from keras_rnnkit.serving.settings import Settings
from keras_rnnkit.text import TextError

OPEN = ("/", "/v2/health/live", "/v2/health/ready")
"""What needs no token: health, and the page, which asks for it."""


class Server:
    """What requests share: the models, the counts, and whether the server is stopping."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self.metrics = Metrics()
        self.repository = Repository(settings, self.metrics)
        self.stopping, self.over = asyncio.Event(), asyncio.Event()
        self.generations = 0
        self.under_way = 0

    @contextlib.contextmanager
    def generating(self):
        """A place among those who generate at the same time."""
        if self.generations >= self.settings.max_generations:
            raise busy("generations", f"{self.generations} generations are under way. Try again in a second.")
        self.generations += 1
        try:
            yield
        finally:
            self.generations -= 1


Handler = Callable[[Server, Request], Awaitable[Response]]


def endpoint(server: Server, handler: Handler, kind: str) -> Callable[[Request], Awaitable[Response]]:
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


def refusal(error: Exception) -> tuple[Response, str]:
    """The answer to a request that failed, and why, in a word."""
    if isinstance(error, ServingError):
        response = failure(error.status, error.sentence)
        if error.retry_after is not None:
            response.headers["retry-after"] = str(max(1, round(error.retry_after)))
        if error.status == 401:
            response.headers["www-authenticate"] = "Bearer"
        return response, error.reason
    if isinstance(error, InputError | TextError):
        return failure(400, str(error)), "malformed"
    if isinstance(error, ClientDisconnect):
        return failure(499, "The client has left."), "disconnected"
    if type(error).__module__.startswith("onnxruntime"):
        return failure(400, f"The graph cannot run these inputs: {str(error)[:500]}"), "graph"
    logs.logging.getLogger("keras_rnnkit.serving").error("a request failed", exc_info=error)
    return failure(500, "The server failed at this request; its log says where."), "internal"


def failure(status: int, sentence: str) -> Response:
    return answer({"error": sentence}, status)


def answer(value: Any, status: int = 200) -> Response:
    return Response(tensors.json_bytes(value), status, media_type="application/json")


async def body_of(server: Server, request: Request) -> bytes:
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


async def object_of(server: Server, request: Request) -> dict[str, Any]:
    return tensors.parsed(await body_of(server, request), None)[0]


def model_of(server: Server, request: Request) -> Served:
    return server.repository.find(request.path_params["model"], request.path_params.get("version"))

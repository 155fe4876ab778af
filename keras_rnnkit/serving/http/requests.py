"""What every request has: a right to be here, an id, a line in the log, and errors as answers."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from keras_rnnkit.serving.http.bodies import let_go
from keras_rnnkit.serving.http.errors import refusal
from keras_rnnkit.serving.http.sign_in import sign_in_page, wants_page
from keras_rnnkit.serving.http.state import ServerState
from keras_rnnkit.serving.models.served_model import ServedModel
from keras_rnnkit.serving.observability import logs

Handler = Callable[[ServerState, Request], Awaitable[Response]]


def endpoint(server: ServerState, handler: Handler, route: str) -> Callable[[Request], Awaitable[Response]]:
    """The handler with what every request has: a right to be here, an id, a line in the log, errors as answers."""

    async def run(request: Request) -> Response:
        began = time.perf_counter()
        request_id = request.headers.get("x-request-id", "")[:128] or os.urandom(16).hex()
        reason = None
        server.in_progress += 1
        try:
            server.access.check(request.scope)
            response = await handler(server, request)
        except Exception as error:
            response, reason = refusal(error)
            if reason == "token" and wants_page(request):
                response = sign_in_page(request.url.path, str(error))
        finally:
            server.in_progress -= 1
            if "held" in request.scope:
                let_go(server, request)
        seconds = time.perf_counter() - began
        count(server, request, route, response.status_code, seconds, reason)
        if server.replica is None or server.replica.adds_request_id:
            response.raw_headers.append((b"x-request-id", request_id.encode("latin-1", "replace")))
        if server.stopping.is_set():
            response.raw_headers.append((b"connection", b"close"))
        logs.access(request.scope, response.status_code, began, request_id, **({"reason": reason} if reason else {}))
        return response

    return run


def count(server: ServerState, request: Request, route: str, status: int, seconds: float, reason: str | None) -> None:
    model = request.path_params.get("model", "")
    label = model if not model or model in server.repository.models else "unknown"
    server.metrics.answered(label, route, status, seconds)
    if reason is not None:
        server.metrics.failed(label, route, reason)


def model_of(server: ServerState, request: Request) -> ServedModel:
    return server.repository.find(request.path_params["model"], request.path_params.get("version"))

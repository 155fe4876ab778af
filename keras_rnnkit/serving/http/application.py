"""The HTTP application: the Open Inference Protocol v2, generation, WebSockets, metrics and the page.

Everything a client can do wrong is an answer of 4xx with {"error": sentence}.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from keras_rnnkit.serving.http.errors import failure
from keras_rnnkit.serving.http.inference import infer
from keras_rnnkit.serving.http.requests import endpoint
from keras_rnnkit.serving.http.routes import MODEL, routes
from keras_rnnkit.serving.http.state import ServerState
from keras_rnnkit.serving.settings import Settings


def application(settings: Settings, replica: Callable[[ServerState], Any] | None = None) -> Application:
    """The ASGI application for a folder of bundles; `uvicorn` runs it, or any other server.

    replica: makes what connects this process with others that run the same application, as in `ray_serve`.
    """
    server = ServerState(settings)

    @contextlib.asynccontextmanager
    async def lifespan(app):
        await server.repository.refresh()
        tasks = [asyncio.create_task(server.repository.watch())] if settings.reload else []
        if replica is not None:
            server.replica = replica(server)
            tasks.append(asyncio.create_task(server.replica.follow()))
        yield
        server.stopping.set()
        for task in tasks:
            task.cancel()
        server.repository.close()
        server.transcoder.close()

    app = Starlette(routes=routes(server), lifespan=lifespan, exception_handlers={HTTPException: lost})
    return Application(server, app, endpoint(server, infer, f"{MODEL}/infer"))


def lost(request: Request, error: Exception) -> Response:
    """The answer where no route fits."""
    status = error.status_code if isinstance(error, HTTPException) else 404
    sentences = {404: f"There is no {request.url.path[:200]!r}.", 405: f"{request.method} is not for this address."}
    return failure(status, sentences.get(status, str(getattr(error, "detail", error))))


class Application:
    """All that is asked by its address; `infer` straight, as routes and middleware would take a fifth of its time."""

    def __init__(self, server: ServerState, rest: ASGIApp, infer: Callable[[Request], Awaitable[Response]]):
        self.server, self.rest, self.infer = server, rest, infer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            segments = scope["path"].split("/")
            if len(segments) == 5 and segments[1:3] == ["v2", "models"] and segments[4] == "infer" and segments[3]:
                scope["path_params"] = {"model": segments[3]}
                response = await self.infer(Request(scope, receive, send))
                return await response(scope, receive, send)
        await self.rest(scope, receive, send)

"""The HTTP application: the Open Inference Protocol v2, generation, WebSockets, metrics and the page.

Everything a client can do wrong is an answer of 4xx with {"error": sentence}.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from keras_rnnkit import __version__
from keras_rnnkit.serving import pages, tensors, views
from keras_rnnkit.serving.errors import unavailable
from keras_rnnkit.serving.inference import generate, generate_stream, infer
from keras_rnnkit.serving.openapi import specification
from keras_rnnkit.serving.requests import Handler, Server, answer, body_of, endpoint, failure, model_of
from keras_rnnkit.serving.settings import Settings
from keras_rnnkit.serving.sockets import stream_socket

EXTENSIONS = ["binary_tensor_data", "model_repository", "sequence", "statistics", "generate"]


def application(settings: Settings) -> Application:
    """The ASGI application for a folder of bundles; `uvicorn` runs it, or any other server."""
    server = Server(settings)

    @contextlib.asynccontextmanager
    async def lifespan(app):
        await asyncio.to_thread(server.repository.refresh)
        watch = asyncio.create_task(server.repository.watch()) if settings.reload else None
        yield
        server.stopping.set()
        if watch:
            watch.cancel()
        server.repository.close()

    def route(path: str, handler: Handler, method: str = "GET") -> Route:
        return Route(path, endpoint(server, handler, path.rsplit("/", 1)[-1] or "page"), methods=[method])

    one, versioned = "/v2/models/{model}", "/v2/models/{model}/versions/{version}"
    routes: list[Route | WebSocketRoute] = []  # they are tried in this order: first what is asked most
    for prefix in (one, versioned):
        routes += [
            route(f"{prefix}/infer", infer, "POST"),
            WebSocketRoute(f"{prefix}/stream", stream_socket(server)),
            route(f"{prefix}/generate", generate, "POST"),
            route(f"{prefix}/generate_stream", generate_stream, "POST"),
            route(f"{prefix}/activations", views.activations, "POST"),
            route(f"{prefix}/forecast", views.forecast, "POST"),
        ]
    routes += [
        route("/v2/health/live", live),
        route("/v2/health/ready", ready),
        route("/metrics", metrics),
        route("/", pages.page),
        route("/static/{file}", pages.static),
        route("/docs", pages.docs),
        route("/openapi.json", api),
        route("/v2", about),
        route("/v2/repository/index", index, "POST"),
        route("/v2/models/stats", all_statistics),
        route("/v2/models", models),
    ]
    for prefix in (one, versioned):
        routes += [
            route(prefix, metadata),
            route(f"{prefix}/ready", model_ready),
            route(f"{prefix}/config", config),
            route(f"{prefix}/stats", statistics),
        ]

    def lost(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 404
        words = {404: f"There is no {request.url.path[:200]!r}.", 405: f"{request.method} is not for this address."}
        return failure(status, words.get(status, str(getattr(error, "detail", error))))

    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: lost})
    return Application(server, app, endpoint(server, infer, "infer"))


class Application:
    """All that is asked by its address; `infer` straight, as routes and middleware would take a fifth of its time."""

    def __init__(self, server: Server, rest: ASGIApp, infer: Callable[[Request], Awaitable[Response]]):
        self.server, self.rest, self.infer = server, rest, infer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            parts = scope["path"].split("/")
            if len(parts) == 5 and parts[1:3] == ["v2", "models"] and parts[4] == "infer" and parts[3]:
                scope["path_params"] = {"model": parts[3]}
                response = await self.infer(Request(scope, receive, send))
                return await response(scope, receive, send)
        await self.rest(scope, receive, send)


# ---------------------------------------------------------------------- what there is


async def live(server: Server, request: Request) -> Response:
    return answer({"live": True})


async def ready(server: Server, request: Request) -> Response:
    is_ready = bool(server.repository.models) and not server.stopping.is_set()
    return answer({"ready": is_ready}, 200 if is_ready else 503)


async def about(server: Server, request: Request) -> Response:
    return answer({"name": "keras-rnnkit", "version": __version__, "extensions": EXTENSIONS})


async def api(server: Server, request: Request) -> Response:
    return answer(specification(server.settings))


async def metrics(server: Server, request: Request) -> Response:
    for name, model in server.repository.models.items():
        server.metrics.sessions.labels(name).set(len(model.sessions) if model.sessions is not None else 0)
    return Response(server.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


async def index(server: Server, request: Request) -> Response:
    body = await body_of(server, request)
    asked = tensors.parsed(body, None)[0] if body else {}
    found = server.repository.index()
    return answer([row for row in found if row["state"] == "READY"] if asked.get("ready") is True else found)


async def models(server: Server, request: Request) -> Response:
    return answer({"models": [model.details() for _, model in sorted(server.repository.models.items())]})


async def metadata(server: Server, request: Request) -> Response:
    return answer(model_of(server, request).metadata())


async def model_ready(server: Server, request: Request) -> Response:
    model = model_of(server, request)
    if server.stopping.is_set():
        raise unavailable("The server is stopping.")
    return answer({"name": model.name, "ready": True})


async def config(server: Server, request: Request) -> Response:
    model = model_of(server, request)
    known = model.metadata()
    kinds = {"BOOL": "TYPE_BOOL"}

    def tensor(entry):
        kind = kinds.get(entry["datatype"], f"TYPE_{entry['datatype']}")
        return {"name": entry["name"], "data_type": kind, "dims": entry["shape"]}

    return answer(
        {
            "name": model.name,
            "platform": known["platform"],
            "max_batch_size": 0,
            "input": [tensor(entry) for entry in known["inputs"]],
            "output": [tensor(entry) for entry in known["outputs"]],
        }
    )


async def statistics(server: Server, request: Request) -> Response:
    return answer({"model_stats": [server.metrics.statistics(model_of(server, request).name)]})


async def all_statistics(server: Server, request: Request) -> Response:
    return answer({"model_stats": [server.metrics.statistics(name) for name in sorted(server.repository.models)]})

"""The HTTP application: the Open Inference Protocol v2, generation, WebSockets, metrics and the page.

Everything a client can do wrong is an answer of 4xx with {"error": sentence}.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from keras_rnnkit import __version__
from keras_rnnkit.runtime import InputError
from keras_rnnkit.serving import generation, logs, pages, tensors, translation, views
from keras_rnnkit.serving.errors import ServingError, busy, malformed, too_large, unavailable
from keras_rnnkit.serving.metrics import Metrics
from keras_rnnkit.serving.openapi import specification
from keras_rnnkit.serving.repository import Repository
from keras_rnnkit.serving.served import Served
from keras_rnnkit.serving.settings import Settings
from keras_rnnkit.serving.sockets import stream_socket
from keras_rnnkit.text import TextError

EXTENSIONS = ["binary_tensor_data", "model_repository", "sequence", "statistics", "generate"]
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


# ---------------------------------------------------------------------- around every request


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


# ---------------------------------------------------------------------- what is computed


async def infer(server: Server, request: Request) -> Response:
    model = model_of(server, request)
    asked, rest = tensors.parsed(await body_of(server, request), request.headers.get(tensors.HEADER))
    inputs, given = tensors.inputs(asked, rest), tensors.parameters(asked)
    binary = tensors.wanted(asked, model.graph.outputs)
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
    body, length = tensors.encoded(head, found, binary)
    if length is None:
        return Response(body, media_type="application/json")
    return Response(body, headers={tensors.HEADER: str(length)}, media_type="application/octet-stream")


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


async def generate(server: Server, request: Request) -> Response:
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


async def generate_stream(server: Server, request: Request) -> Response:
    asked = generation.Generation(model_of(server, request), await object_of(server, request))
    if asked.strategy.rows > 1:
        raise malformed("A beam may take back what it gave: use generate, or leave out beam.")
    place = server.generating()
    place.__enter__()
    return StreamingResponse(
        events(server, asked, place), media_type="text/event-stream", headers={"cache-control": "no-store"}
    )


async def events(server: Server, asked: generation.Generation, place) -> AsyncIterator[bytes]:
    """Server-sent events, one a token; a failure on the way is an event with {"error": ...}."""
    server.under_way += 1
    try:
        async for piece in generation.pieces(asked):
            yield b"data: " + tensors.json_bytes(piece) + b"\n\n"
            if server.over.is_set():
                raise unavailable("The server is stopping; this is how far it came.")
    except Exception as error:
        response, reason = refusal(error)
        server.metrics.failed(asked.model.name, reason, 0.0)
        yield b"data: " + bytes(response.body) + b"\n\n"
    finally:
        server.under_way -= 1
        place.__exit__(None, None, None)

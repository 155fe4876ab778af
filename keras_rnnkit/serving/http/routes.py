"""Which handler answers which address."""

from __future__ import annotations

from starlette.routing import Route, WebSocketRoute

from keras_rnnkit.serving.http import pages, playground, protocol
from keras_rnnkit.serving.http.inference import generate, generate_stream, infer
from keras_rnnkit.serving.http.requests import Handler, endpoint
from keras_rnnkit.serving.http.sign_in import sign_in, sign_out
from keras_rnnkit.serving.http.sockets import stream_socket
from keras_rnnkit.serving.http.state import ServerState

MODEL, VERSIONED = "/v2/models/{model}", "/v2/models/{model}/versions/{version}"


def routes(server: ServerState) -> list[Route | WebSocketRoute]:
    """The routes of the application, in the order in which they are tried: the busiest first."""

    def route(path: str, handler: Handler, method: str = "GET") -> Route:
        return Route(path, endpoint(server, handler, path), methods=[method])

    prefixes = MODEL, VERSIONED
    table: list[Route | WebSocketRoute] = []
    for prefix in prefixes:
        table += [
            route(f"{prefix}/infer", infer, "POST"),
            WebSocketRoute(f"{prefix}/stream", stream_socket(server)),
            route(f"{prefix}/generate", generate, "POST"),
            route(f"{prefix}/generate_stream", generate_stream, "POST"),
            route(f"{prefix}/activations", playground.activations, "POST"),
            route(f"{prefix}/forecast", playground.forecast, "POST"),
        ]
    table += [
        route("/v2/health/live", protocol.live),
        route("/v2/health/ready", protocol.ready),
        route("/metrics", protocol.metrics),
        route("/", pages.page),
        route("/static/{file:path}", pages.static),
        route("/docs", pages.docs),
        route("/sign-in", sign_in, "POST"),
        route("/sign-out", sign_out, "POST"),
        route("/openapi.json", protocol.api),
        route("/v2", protocol.about),
        route("/v2/repository/index", protocol.index, "POST"),
        route("/v2/models/stats", protocol.all_statistics),
        route("/v2/models", protocol.models),
    ]
    for prefix in prefixes:
        table += [
            route(prefix, protocol.metadata),
            route(f"{prefix}/ready", protocol.model_ready),
            route(f"{prefix}/config", protocol.config),
            route(f"{prefix}/stats", protocol.statistics),
        ]
    return table

"""Health, metadata, statistics and the index, as the Open Inference Protocol v2 and Triton's extensions have them."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from keras_rnnkit import __version__
from keras_rnnkit.serving.errors import unavailable
from keras_rnnkit.serving.http import wire_format
from keras_rnnkit.serving.http.bodies import SMALL, body_of
from keras_rnnkit.serving.http.errors import answer
from keras_rnnkit.serving.http.openapi import specification
from keras_rnnkit.serving.http.requests import model_of
from keras_rnnkit.serving.http.state import ServerState

EXTENSIONS = ["binary_tensor_data", "model_repository", "sequence", "statistics", "generate"]


async def live(server: ServerState, request: Request) -> Response:
    return answer({"live": True})


async def ready(server: ServerState, request: Request) -> Response:
    is_ready = bool(server.repository.models) and not server.stopping.is_set()
    return answer({"ready": is_ready}, 200 if is_ready else 503)


async def about(server: ServerState, request: Request) -> Response:
    return answer({"name": "keras-rnnkit", "version": __version__, "extensions": EXTENSIONS})


async def api(server: ServerState, request: Request) -> Response:
    return answer(specification(server.settings))


async def metrics(server: ServerState, request: Request) -> Response:
    for name, model in server.repository.models.items():
        server.metrics.sessions.labels(name).set(len(model.sessions) if model.sessions is not None else 0)
    text = await asyncio.to_thread(server.metrics.text)  # some milliseconds, where there are many models
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


async def index(server: ServerState, request: Request) -> Response:
    body = await body_of(server, request, SMALL)
    asked = wire_format.parsed(body)[0] if body else {}
    rows = server.repository.index()
    return answer([row for row in rows if row["state"] == "READY"] if asked.get("ready") is True else rows)


async def models(server: ServerState, request: Request) -> Response:
    return answer({"models": [model.details for _, model in sorted(server.repository.models.items())]})


async def metadata(server: ServerState, request: Request) -> Response:
    return answer(model_of(server, request).metadata)


async def model_ready(server: ServerState, request: Request) -> Response:
    model = model_of(server, request)
    if server.stopping.is_set():
        raise unavailable("The server is stopping.")
    return answer({"name": model.name, "ready": True})


async def config(server: ServerState, request: Request) -> Response:
    model = model_of(server, request)
    metadata = model.metadata
    kinds = {"BOOL": "TYPE_BOOL"}

    def tensor(entry):
        kind = kinds.get(entry["datatype"], f"TYPE_{entry['datatype']}")
        return {"name": entry["name"], "data_type": kind, "dims": entry["shape"]}

    return answer(
        {
            "name": model.name,
            "platform": metadata["platform"],
            "max_batch_size": 0,
            "input": [tensor(entry) for entry in metadata["inputs"]],
            "output": [tensor(entry) for entry in metadata["outputs"]],
        }
    )


async def statistics(server: ServerState, request: Request) -> Response:
    return answer({"model_stats": [server.metrics.statistics(model_of(server, request).name)]})


async def all_statistics(server: ServerState, request: Request) -> Response:
    return answer({"model_stats": [server.metrics.statistics(name) for name in sorted(server.repository.models)]})

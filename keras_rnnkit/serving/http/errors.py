"""Every failure as an answer: a status and {"error": sentence}."""

from __future__ import annotations

import logging
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.responses import Response

from keras_rnnkit.runtime import InputError
from keras_rnnkit.serving.errors import ServingError
from keras_rnnkit.serving.http import wire_format
from keras_rnnkit.serving.models.repository import without_paths
from keras_rnnkit.text import TextError

log = logging.getLogger("keras_rnnkit.serving")


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
        return failure(400, without_paths(str(error))), "malformed"
    if isinstance(error, ClientDisconnect):
        return failure(499, "The client has left."), "disconnected"
    if type(error).__module__.startswith("onnxruntime"):
        return failure(400, f"The graph cannot run these inputs: {without_paths(str(error))[:500]}"), "graph"
    log.error("a request failed", exc_info=error)
    return failure(500, "The server failed at this request; its log says where."), "internal"


def failure(status: int, sentence: str) -> Response:
    return answer({"error": sentence}, status)


def answer(value: Any, status: int = 200) -> Response:
    return Response(wire_format.json_bytes(value), status, media_type="application/json")

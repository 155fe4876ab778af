"""The description of the HTTP interface, at `/openapi.json`; `/docs` shows it."""

from __future__ import annotations

from typing import Any

from keras_rnnkit import __version__
from keras_rnnkit.serving.http.schemas import schemas
from keras_rnnkit.serving.settings import Settings

ERRORS = {
    400: "The request is not what the model takes; the sentence says what came and what was expected.",
    401: "The token is missing or wrong.",
    403: "The request comes from a page of another site, or asks for a host that this server is not.",
    404: "There is no such model, version or address.",
    408: "The headers or the body took too long to come.",
    413: "The request is larger than a limit of the server, or takes longer to compute than its deadline.",
    415: "The body is packed with something else than gzip or deflate.",
    422: "The model's answer is not finite.",
    429: "Too many requests wait. Try again after Retry-After seconds.",
    431: "The headers are too large.",
    503: "The server is stopping, or the model cannot be served.",
    504: "The deadline is over.",
}
INFER = (
    "Outputs for whole sequences; with sequence_id for the next chunk of a stream. With "
    "Inference-Header-Content-Length, tensors may be bytes behind the JSON."
)
STREAM = (
    "A message is a chunk. Bytes are the numbers of the only input, and are answered by those of the first output. "
    'JSON is {"inputs": {name: list}}, and is answered by {"outputs": {name: list}}. {"reset": true} begins anew. '
    "rows=N in the query makes N streams side by side."
)


def specification(settings: Settings) -> dict[str, Any]:
    """OpenAPI 3.1."""
    secured = {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}} if settings.token else {}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "keras-rnnkit",
            "version": __version__,
            "description": "Recurrent networks by the Open Inference Protocol v2, with streams that keep their "
            "state and generation.",
        },
        **({"security": [{"token": []}]} if settings.token else {}),
        "tags": [{"name": name} for name in ("Inference", "Streams", "Text", "Models", "Server")],
        "paths": paths(),
        "components": {"schemas": schemas(settings), **secured},
    }


def paths() -> dict[str, Any]:
    """Every address with its methods."""
    model = "/v2/models/{model}"
    table = {
        f"{model}/infer": {"post": operation("Inference", INFER, "InferResponse", "InferRequest")},
        f"{model}/forecast": {"post": operation("Inference", "How a series goes on.", "Forecast", "ForecastRequest")},
        f"{model}/stream": {"get": websocket()},
        f"{model}/generate": {
            "post": operation("Text", "Text that goes on from a text.", "GenerateResponse", "GenerateRequest")
        },
        f"{model}/generate_stream": {
            "post": operation("Text", "The same, a token at a time.", "text/event-stream", "GenerateRequest")
        },
        f"{model}/activations": {
            "post": operation("Text", "A hidden unit's state after each token.", "Activations", "ActivationsRequest")
        },
        "/v2/models": {"get": operation("Models", "The models that are served, with what they can do.", "Models")},
        model: {"get": operation("Models", "Inputs and outputs of a model.", "Metadata")},
        f"{model}/ready": {"get": operation("Models", "Whether the model is served.", "Ready")},
        f"{model}/config": {"get": operation("Models", "Inputs and outputs, as Triton's clients read them.", "Config")},
        f"{model}/stats": {"get": operation("Models", "Statistics of a model's inferences.", "Statistics")},
        "/v2/models/stats": {"get": operation("Models", "Statistics of all models.", "Statistics")},
        "/v2/repository/index": {
            "post": operation("Models", "All bundles, and why some are not served.", "Index", "IndexRequest")
        },
        "/v2": {"get": operation("Server", "Name and version of the server.", "Server")},
        "/v2/health/live": {"get": operation("Server", "Whether the server runs.", "Live")},
        "/v2/health/ready": {"get": operation("Server", "Whether it has a model, and is not stopping.", "Ready")},
        "/metrics": {"get": operation("Server", "Metrics for Prometheus.", "text/plain")},
        "/sign-in": {"post": operation("Server", "A cookie for a browser, in exchange for the token.", None, "SignIn")},
        "/sign-out": {"post": operation("Server", "The end of a browser's sign-in.", None)},
    }
    name = {"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}
    for path, methods in table.items():
        for method in methods.values() if "{model}" in path else ():
            method["parameters"] = [name, *method.get("parameters", [])]
    return table


def websocket() -> dict[str, Any]:
    """OpenAPI has no WebSockets: a GET that switches protocols."""
    rows = {"name": "rows", "in": "query", "schema": {"type": "integer", "minimum": 1, "default": 1}}
    responses = {"101": {"description": "The connection is a WebSocket now."}, "404": {"description": ERRORS[404]}}
    return {
        "tags": ["Streams"],
        "summary": "A WebSocket, which is a stream.",
        "description": STREAM,
        "parameters": [rows],
        "responses": responses,
        "x-websocket": True,
    }


def operation(tag: str, summary: str, answer: str | None, request: str | None = None) -> dict[str, Any]:
    """One method of an address. answer: the name of a schema, a media type, or None for an answer without a body."""
    responses: dict[str, Any] = {"200": {"description": "The answer.", "content": content_of(answer)}}
    if answer is None:
        responses = {"204": {"description": "Done."}}
    for status, sentence in ERRORS.items():
        body = {"application/json": {"schema": reference("Error")}}
        responses[str(status)] = {"description": sentence, "content": body}
    if answer == "Ready":
        responses["503"]["content"] = {"application/json": {}}
    description: dict[str, Any] = {"tags": [tag], "summary": summary, "responses": responses}
    if request:
        description["requestBody"] = {
            "required": request != "IndexRequest",
            "content": {"application/json": {"schema": reference(request)}},
        }
    return description


def content_of(answer: str | None) -> dict[str, Any]:
    if answer is None or "/" in answer:
        return {answer: {}} if answer else {}
    content: dict[str, Any] = {"application/json": {"schema": reference(answer)}}
    return content | ({"application/octet-stream": {}} if answer == "InferResponse" else {})


def reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}

"""The description of the HTTP interface, at `/openapi.json`; `/docs` shows it."""

from __future__ import annotations

from typing import Any

from keras_rnnkit import __version__
from keras_rnnkit.serving.models.datatypes import DATATYPES
from keras_rnnkit.serving.settings import Settings

TEXT, WHOLE, NUMBER, TRUTH = ({"type": kind} for kind in ("string", "integer", "number", "boolean"))


def array(items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "array", "items": items, **more}


def thing(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": properties}


DIMS = array({"type": "integer"})
TENSOR = thing(("name", "datatype", "shape"), name=TEXT, datatype={"enum": list(DATATYPES)}, shape=DIMS, data=array({}))
TENSOR_IN = thing(
    ("name", "datatype", "shape", "data"),
    name=TEXT,
    datatype={"enum": list(DATATYPES)},
    shape=array({"type": "integer", "minimum": 0, "maximum": 64}, maxItems=4),
    data=array({}),
)
SCHEMAS = {
    "Error": thing(("error",), error=TEXT),
    "Live": thing(("live",), live=TRUTH),
    "Ready": thing(("ready",), ready=TRUTH, name=TEXT),
    "Server": thing(("name", "version", "extensions"), name=TEXT, version=TEXT, extensions=array(TEXT)),
    "Models": thing(("models",), models=array({"type": "object"})),
    "Metadata": thing(
        ("name", "platform", "inputs", "outputs"),
        name=TEXT,
        versions=array(TEXT),
        platform=TEXT,
        inputs=array(thing(("name", "datatype", "shape"), name=TEXT, datatype=TEXT, shape=DIMS)),
        outputs=array(thing(("name", "datatype", "shape"), name=TEXT, datatype=TEXT, shape=DIMS)),
    ),
    "Config": {"type": "object"},
    "Statistics": thing(("model_stats",), model_stats=array({"type": "object"})),
    "Index": array(thing(("name", "version", "state"), name=TEXT, version=TEXT, state=TEXT, reason=TEXT)),
    "IndexRequest": thing(ready=TRUTH),
    "InferRequest": thing(
        ("inputs",),
        id=TEXT,
        inputs=array(TENSOR_IN, minItems=1),
        outputs=array(thing(("name",), name=TEXT, parameters={"type": "object"})),
        parameters=thing(
            sequence_id={"oneOf": [WHOLE, TEXT]},
            sequence_start=TRUTH,
            sequence_end=TRUTH,
            timeout={"type": "integer", "minimum": 0, "description": "microseconds"},
            binary_data_output=TRUTH,
        ),
    ),
    "InferResponse": thing(
        ("model_name", "outputs"),
        model_name=TEXT,
        model_version=TEXT,
        id=TEXT,
        parameters={"type": "object"},
        outputs=array(TENSOR),
    ),
    "GenerateRequest": thing(
        text_input=TEXT,
        tokens=array({"type": "integer", "minimum": 0}),
        max_tokens={"type": "integer", "minimum": 1, "maximum": 2000},
        temperature={"type": "number", "minimum": 0},
        top_k={"type": "integer", "minimum": 0},
        top_p=NUMBER,
        seed={"type": "integer", "minimum": 0},
        beam={"type": "integer", "minimum": 1, "maximum": 64},
        length_penalty=NUMBER,
        parameters={"type": "object", "description": "the same numbers, as Triton's clients send them"},
    ),
    "GenerateResponse": thing(
        ("model_name", "text_output", "tokens", "score"),
        model_name=TEXT,
        model_version=TEXT,
        text_output=TEXT,
        tokens=array(WHOLE),
        score=NUMBER,
        hypotheses=array({"type": "object"}),
    ),
    "ActivationsRequest": thing(
        text_input=TEXT, tokens=array(WHOLE), state=TEXT, unit={"type": "integer", "minimum": 0}
    ),
    "Activations": thing(
        ("tokens", "values", "unit"), tokens=array(TEXT), values=array(NUMBER), unit=WHOLE, state=TEXT
    ),
    "ForecastRequest": thing(("series",), series=array({}), steps={"type": "integer", "minimum": 1}),
    "Forecast": thing(("forecast",), forecast=array({})),
}
ERRORS = {
    400: "The request is not what the model takes; the sentence says what came and what was expected.",
    401: "The token is missing or wrong.",
    403: "A page of another site asked.",
    404: "There is no such model, version or address.",
    413: "Larger than a limit of the server.",
    422: "The model's answer is not finite.",
    429: "Too many wait; try again after Retry-After seconds.",
    503: "The server is stopping, or the model cannot be served.",
    504: "The deadline is over.",
}


def specification(settings: Settings) -> dict[str, Any]:
    """OpenAPI 3.1."""
    one = "/v2/models/{model}"
    paths = {
        "/v2/health/live": {"get": operation("Whether the server runs.", "Live")},
        "/v2/health/ready": {"get": operation("Whether it serves: it has a model, and is not stopping.", "Ready")},
        "/v2": {"get": operation("What the server is.", "Server")},
        "/v2/models": {"get": operation("What is served, as the page wants to know it.", "Models")},
        "/v2/repository/index": {
            "post": operation("Which models there are, and why some are not served.", "Index", "IndexRequest")
        },
        "/v2/models/stats": {"get": operation("Statistics of all models.", "Statistics")},
        one: {"get": operation("Inputs and outputs.", "Metadata")},
        f"{one}/ready": {"get": operation("Whether the model is served.", "Ready")},
        f"{one}/config": {"get": operation("Inputs and outputs, as Triton's clients ask for them.", "Config")},
        f"{one}/stats": {"get": operation("Statistics.", "Statistics")},
        f"{one}/infer": {
            "post": operation(
                "Whole sequences; with sequence_id the next chunk of a stream. With Inference-Header-Content-Length, "
                "tensors may be bytes behind the JSON.",
                "InferResponse",
                "InferRequest",
            )
        },
        f"{one}/generate": {"post": operation("Text that goes on from a text.", "GenerateResponse", "GenerateRequest")},
        f"{one}/generate_stream": {"post": operation("The same, a token at a time.", None, "GenerateRequest")},
        f"{one}/activations": {
            "post": operation("A hidden unit's state after each token.", "Activations", "ActivationsRequest")
        },
        f"{one}/forecast": {"post": operation("How a series goes on.", "Forecast", "ForecastRequest")},
    }
    for path, methods in paths.items():
        if "{model}" in path:
            name = {"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}
            for known in methods.values():
                known["parameters"] = [name]
    secured = {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}} if settings.token else {}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "keras-rnnkit",
            "version": __version__,
            "description": "Recurrent networks by the Open Inference Protocol v2, with streams that keep their "
            "state and generation. A WebSocket at /v2/models/{model}/stream takes chunks as messages.",
        },
        **({"security": [{"token": []}]} if settings.token else {}),
        "paths": paths,
        "components": {"schemas": SCHEMAS, **secured},
    }


def operation(summary: str, answer: str | None, request: str | None = None) -> dict[str, Any]:
    content = {"application/json": {"schema": reference(answer)}} if answer else {"text/event-stream": {}}
    if answer == "InferResponse":
        content["application/octet-stream"] = {}
    known: dict[str, Any] = {"summary": summary, "responses": {"200": {"description": "As asked.", "content": content}}}
    for status, words in ERRORS.items():
        body = {"application/json": {"schema": reference("Ready" if answer == "Ready" and status == 503 else "Error")}}
        known["responses"][str(status)] = {"description": words, "content": body}
    if answer == "Ready":
        known["responses"]["503"]["content"] = {"application/json": {}}
    if request:
        known["requestBody"] = {
            "required": request != "IndexRequest",
            "content": {"application/json": {"schema": reference(request)}},
        }
    return known


def reference(name: str | None) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}

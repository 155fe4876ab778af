"""The bodies of requests and answers, as JSON Schema; `openapi` refers to them."""

from __future__ import annotations

from typing import Any

from keras_rnnkit.serving.models.datatypes import DATATYPES
from keras_rnnkit.serving.models.forecast import STEPS as FORECAST
from keras_rnnkit.serving.models.generation import STEPS as TOKENS
from keras_rnnkit.serving.settings import Settings

TEXT, WHOLE, NUMBER, TRUTH = ({"type": kind} for kind in ("string", "integer", "number", "boolean"))


def array(items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "array", "items": items, **more}


def thing(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": properties}


def limited(settings: Settings, default: int) -> dict[str, Any]:
    """A number of tokens or steps, up to what the server allows."""
    return {"type": "integer", "minimum": 1, "maximum": settings.max_tokens, "default": default}


DIMS = array({"type": "integer"})
TENSOR = thing(("name", "datatype", "shape"), name=TEXT, datatype={"enum": list(DATATYPES)}, shape=DIMS, data=array({}))
TENSOR_IN = thing(
    ("name", "datatype", "shape", "data"),
    name=TEXT,
    datatype={"enum": list(DATATYPES)},
    shape=array({"type": "integer", "minimum": 0, "maximum": 64}, maxItems=4),
    data=array({}),
)


def schemas(settings: Settings) -> dict[str, Any]:
    """Every body by name, with the limits and defaults of this server."""
    tokens, forecast = min(TOKENS, settings.max_tokens), min(FORECAST, settings.max_tokens)
    return {
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
            max_tokens=limited(settings, tokens),
            temperature={"type": "number", "minimum": 0},
            top_k={"type": "integer", "minimum": 0},
            top_p=NUMBER,
            seed={"type": "integer", "minimum": 0},
            beam={"type": "integer", "minimum": 1, "maximum": 64},
            length_penalty=NUMBER,
            allow_unknown=TRUTH,
            image=thing(("shape", "data"), shape=DIMS, data={"type": "string", "description": "bytes in base64"}),
            all_attention=TRUTH,
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
            text_input=TEXT, tokens=array(WHOLE), state=TEXT, unit={"type": "integer", "minimum": 0}, all_units=TRUTH
        ),
        "Activations": thing(
            ("tokens", "state", "units"),
            tokens=array(TEXT),
            state=TEXT,
            units=WHOLE,
            unit=WHOLE,
            values=array(NUMBER),
            scale=NUMBER,
            data={"type": "string", "description": "with all_units: int16 in base64 [tokens, units], times scale"},
            ranking=array(WHOLE),
        ),
        "ForecastRequest": thing(
            ("series",),
            series=array({}),
            steps=limited(settings, forecast),
            seed=WHOLE,
        ),
        "SignIn": thing(("token",), token=TEXT, next=TEXT),
        "Forecast": thing(
            ("forecast",),
            forecast=array({}),
            interval=thing(("level", "lower", "upper"), level=NUMBER, lower=array({}), upper=array({})),
        ),
    }

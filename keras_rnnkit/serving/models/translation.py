"""Targets of sources for clients: one run of the graph with the loop, in the model's batcher."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_rnnkit.decoding import Aligned
from keras_rnnkit.runtime import InputError
from keras_rnnkit.runtime.graph import as_kind
from keras_rnnkit.runtime.translation import Translation, in_words
from keras_rnnkit.serving.errors import malformed, too_large
from keras_rnnkit.serving.models.batcher import Arrays
from keras_rnnkit.serving.models.generation import NUMBERS, whole
from keras_rnnkit.serving.models.served_model import ServedModel, check_range
from keras_rnnkit.serving.models.translator import feeds
from keras_rnnkit.text import TextError

STEPS = 100
"""Tokens of a target at most, where a request says nothing."""
MOST = 8_192
"""Weights of the attention of all hypotheses that are sent: a third of a millisecond of JSON."""


async def outputs(model: ServedModel, inputs: Mapping[str, Any], timeout: float) -> Arrays:
    """What `infer` answers: tokens, scores, lengths and attention, from arrays by name."""
    assert model.translator is not None
    graph, settings = model.translator.graph, model.settings
    names = [name for name in graph.inputs if name in ("source", "steps")]
    for name in inputs:
        if name not in names:
            raise malformed(f"There is no input {name[:80]!r}. The model has {', '.join(map(repr, names))}.")
    if "source" not in inputs:
        raise malformed("The input 'source' is missing.")
    check_range(graph, {"source": inputs["source"]})
    source = graph.checked("source", inputs["source"])
    rows, _ = model.bundle.sources.rows(list(source))
    if len(rows) > settings.max_rows:
        raise too_large(f"The input 'source' has {len(rows)} rows; this server takes {settings.max_rows} at most.")
    asked = np.ravel(as_kind("steps", inputs.get("steps", min(STEPS, settings.max_tokens)), "int64"))
    steps = int(asked[0]) if asked.size == 1 else 0
    if not 1 <= steps <= settings.max_tokens:
        raise too_large(f"steps must be 1 to {settings.max_tokens}. Received: {steps}.")
    return await model.translator.run(feeds(graph, source, steps), len(source), timeout)


async def complete(model: ServedModel, request: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to `generate`: the best target, and with a beam all of them; where the model looked for each token."""
    assert model.translator is not None
    options = dict(request.get("parameters") or {}) if isinstance(request.get("parameters") or {}, dict) else {}
    options |= {name: request[name] for name in NUMBERS if name in request}
    steps = whole(options, "max_tokens", min(STEPS, model.settings.max_tokens), 1)
    if steps > model.settings.max_tokens:
        raise too_large(f"max_tokens must be {model.settings.max_tokens} or less. Received: {steps}.")
    source, pieces = image_of(model, request["image"]) if "image" in request else source_of(model, request)
    ready = feeds(model.translator.graph, source, steps, whole(options, "seed", 0, 0))
    results = await model.translator.run(ready, 1, model.settings.deadline)
    attention = results.get("attention", np.zeros((*results["generated"].shape, 0), np.float32))
    aligned = Aligned(results["generated"], results["scores"], results["lengths"], attention)
    length = source.shape[1] if pieces else attention.shape[-1]
    (targets,) = in_words(aligned, [length], model.bundle.sources.facts["end"], model.vocabulary)
    model.metrics.tokens.labels(model.name).inc(len(targets[0].tokens))
    rows = [row(target) for target in targets]
    answer = {"model_name": model.name, "model_version": "1", "text_output": rows[0]["text"] or "", **rows[0]}
    answer.pop("text")
    if targets[0].attention is not None:
        looks = [attention_of(model, target, pieces) for target in targets]
        answer["attention"] = looks[0]
        weights = sum(target.attention.size for target in targets if target.attention is not None)
        if request.get("all_attention") is True and weights <= MOST:
            rows = [row | {"attention": look} for row, look in zip(rows, looks, strict=True)]
    return answer | ({"hypotheses": rows} if len(rows) > 1 else {})


def row(target: Translation) -> dict[str, Any]:
    return {"text": target.text, "tokens": target.tokens.tolist(), "score": target.score}


def attention_of(model: ServedModel, target: Translation, source: list[str]) -> dict[str, Any]:
    """Where the model looked for each token. source: its tokens; none for an image, whose places have no names."""
    assert target.attention is not None
    words = model.vocabulary.tokens if model.vocabulary is not None else None
    names = [words[t] if words else str(int(t)) for t in target.tokens]
    return {"source": source, "target": names, "weights": target.attention.round(4).tolist()}


def source_of(model: ServedModel, request: Mapping[str, Any]) -> tuple[np.ndarray, list[str]]:
    """A source [1, S], and its tokens as they are read."""
    sources, text, tokens = model.bundle.sources, request.get("text_input"), request.get("tokens")
    if sources.facts["source"] != "tokens":
        raise malformed(f"The model {model.name!r} reads {sources.facts['source']}: send them as arrays, with infer.")
    if tokens is not None:
        if not isinstance(tokens, list) or not tokens or not all(type(n) is int and abs(n) < 2**31 for n in tokens):
            raise malformed('"tokens" must be a list of one number or more.')
        source: Any = tokens
    elif isinstance(text, str):
        source = text
    else:
        raise malformed('A translation must have "text_input", a text, or "tokens", a list of numbers.')
    try:
        rows, _ = sources.rows(source)
    except (InputError, TextError) as error:
        raise malformed(str(error)) from None
    words = sources.vocabulary.tokens if sources.vocabulary is not None else None
    return sources.batch(rows), [words[t] if words else str(int(t)) for t in rows[0]]


def image_of(model: ServedModel, image: Any) -> tuple[np.ndarray, list[str]]:
    """An image [1, H, W, C] from {"shape": [H, W, C], "data": base64 of its bytes, row by row, 0 to 255}."""
    sources = model.bundle.sources
    if sources.facts["source"] != "image":
        raise malformed(f"The model {model.name!r} reads {sources.facts['source']}, and no image.")
    shape = image.get("shape") if isinstance(image, dict) else None
    data = image.get("data") if isinstance(image, dict) else None
    if not isinstance(data, str) or not isinstance(shape, list) or not all(type(n) is int and n > 0 for n in shape):
        raise malformed('An "image" must have "shape", such as [48, 48, 3], and "data", its bytes in base64.')
    try:
        pixels = np.frombuffer(base64.b64decode(data, validate=True), np.uint8)
    except (binascii.Error, ValueError) as error:
        raise malformed(f"The data of the image must be base64: {error}.") from None
    if pixels.size != math.prod(shape):
        raise malformed(f"An image of shape {shape[:8]} must have {math.prod(shape)} bytes. Received: {pixels.size}.")
    rows, _ = sources.rows(pixels.reshape(shape).astype(np.float32))
    return sources.batch(rows), []

"""Finding the recurrent layers of a model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from keras_rnnkit import keras_internals


def recurrent_layers(layer, path: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, Any]]:
    """The recurrent layers inside `layer`, each once, with the names that lead to it."""
    seen = set() if seen is None else seen
    if id(layer) in seen:
        return
    seen.add(id(layer))
    if isinstance(layer, keras.layers.RNN):
        yield (path or layer.name), layer
        return
    for inner in keras_internals.sublayers(layer):
        yield from recurrent_layers(inner, f"{path}/{inner.name}" if path else inner.name, seen)

"""The layers inside a model, each under a path of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from keras_rnnkit import keras_internals


def recurrent_layers(layer) -> Iterator[tuple[str, Any]]:
    """The recurrent layers inside `layer` with their paths, each once; for a recurrent layer, the layer itself."""
    if isinstance(layer, keras.layers.RNN):
        yield layer.name, layer
        return
    for path, inner in inner_layers(layer):
        if isinstance(inner, keras.layers.RNN):
            yield path, inner


def inner_layers(layer) -> list[tuple[str, Any]]:
    """All layers inside `layer` with their paths, each layer once. The cells of recurrent layers are not listed.

    Layers of a subclassed model may share a name. A path that occurs again therefore gets a number.

    >>> model = keras.Sequential([keras.Sequential([keras.layers.Dense(2, name="out")], name="head")])
    >>> [path for path, _ in inner_layers(model)]
    ['head', 'head/out']
    """
    layers = list(walk(layer, "", set()))
    names, by_path = {path for path, _ in layers}, dict[str, Any]()
    for path, inner in layers:
        unique, number = path, 1
        while unique in by_path or (unique != path and unique in names):
            unique, number = f"{path}_{number}", number + 1
        by_path[unique] = inner
    return list(by_path.items())


def walk(layer, path: str, visited: set[int]) -> Iterator[tuple[str, Any]]:
    """The layers inside `layer` in the order of their attributes, each once and before those inside it."""
    for inner in keras_internals.sublayers(layer):
        if id(inner) in visited:
            continue
        visited.add(id(inner))
        inner_path = f"{path}/{inner.name}" if path else inner.name
        yield inner_path, inner
        if not isinstance(inner, keras.layers.RNN):
            yield from walk(inner, inner_path, visited)

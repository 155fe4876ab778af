"""Finding the layers of a model, with a path that is each layer's alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from keras_rnnkit import keras_internals


def recurrent_layers(layer) -> Iterator[tuple[str, Any]]:
    """The recurrent layers inside `layer`, or itself, each once, with the names that lead to it."""
    if isinstance(layer, keras.layers.RNN):
        yield layer.name, layer
        return
    for path, inner in inner_layers(layer):
        if isinstance(inner, keras.layers.RNN):
            yield path, inner


def inner_layers(layer) -> list[tuple[str, Any]]:
    """All layers inside `layer`, each once, with its path; recurrent layers are not looked into.

    Names need not differ in a subclassed model, so a path that comes again gets a number.

    >>> model = keras.Sequential([keras.Sequential([keras.layers.Dense(2, name="out")], name="head")])
    >>> [path for path, _ in inner_layers(model)]
    ['head', 'head/out']
    """
    found = list(walk(layer, "", set()))
    taken, paths = {path for path, _ in found}, dict[str, Any]()
    for path, inner in found:
        own, number = path, 1
        while own in paths or (own != path and own in taken):
            own, number = f"{path}_{number}", number + 1
        paths[own] = inner
    return list(paths.items())


def walk(layer, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """The layers inside `layer` from the first down, by the names that lead to them; each once."""
    for inner in keras_internals.sublayers(layer):
        if id(inner) in seen:
            continue
        seen.add(id(inner))
        below = f"{path}/{inner.name}" if path else inner.name
        yield below, inner
        if not isinstance(inner, keras.layers.RNN):
            yield from walk(inner, below, seen)

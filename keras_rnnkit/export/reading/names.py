"""The names of a model's layers, as paths from the model down."""

from __future__ import annotations

import keras

from keras_rnnkit import keras_internals


def layer_paths(layer, path: str = "", found: dict[int, str] | None = None) -> dict[int, str]:
    """By the id of each layer inside `layer`; recurrent layers are not looked into.

    >>> model = keras.Sequential([keras.Sequential([keras.layers.Dense(2, name="out")], name="head")])
    >>> list(layer_paths(model).values())
    ['head', 'head/out']
    """
    found = {} if found is None else found
    for inner in keras_internals.sublayers(layer):
        if id(inner) not in found:
            found[id(inner)] = f"{path}/{inner.name}" if path else inner.name
            if not isinstance(inner, keras.layers.RNN):
                layer_paths(inner, found[id(inner)], found)
    return found


def distinct_name(name: str, taken: set[str]) -> str:
    """The name, or the first with a number behind it that nobody has."""
    number, candidate = 0, name
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    return candidate

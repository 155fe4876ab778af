"""The names of a model's layers, as paths from the model down."""

from __future__ import annotations

import keras


def layer_paths(layer, path: str = "", found: dict[int, str] | None = None) -> dict[int, str]:
    """By the id of each layer inside `layer`; recurrent layers are not looked into.

    >>> model = keras.Sequential([keras.Sequential([keras.layers.Dense(2, name="out")], name="head")])
    >>> list(layer_paths(model).values())
    ['head', 'head/out']
    """
    found = {} if found is None else found
    for inner in layer._flatten_layers(include_self=False, recursive=False):
        if id(inner) not in found:
            found[id(inner)] = f"{path}/{inner.name}" if path else inner.name
            if not isinstance(inner, keras.layers.RNN):
                layer_paths(inner, found[id(inner)], found)
    return found

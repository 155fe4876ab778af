"""The names of a model's layers, as paths from the model down, and names that nobody has yet."""

from __future__ import annotations

import re
from collections.abc import Iterable

from keras_rnnkit.layers.traversal import inner_layers


def layer_paths(model) -> dict[int, str]:
    """The path of each layer inside the model, by the layer's id; recurrent layers are not looked into."""
    return {id(layer): path for path, layer in inner_layers(model)}


def layer_at(scope: str, paths: Iterable[str]) -> str | None:
    """The path of the layer that wrote an operation of TensorFlow with that name; None if it was no layer.

    >>> layer_at("functional_1/head_1/out_2/MatMul", ["head", "head/out", "tail"])
    'head/out'
    """
    segments = scope.split("/")
    return max((path for path in paths if leads_to(path.split("/"), segments)), key=len, default=None)


def leads_to(names: list[str], scope: list[str]) -> bool:
    """Whether the names stand in the scope, in that order; TensorFlow appends a number to each at a later call."""
    rest = iter(scope)
    return all(any(name in (segment, re.sub(r"_\d+$", "", segment)) for segment in rest) for name in names)


def distinct_name(name: str, taken: set[str]) -> str:
    """The name, or the first with a number behind it that nobody has."""
    number, candidate = 0, name
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    return candidate

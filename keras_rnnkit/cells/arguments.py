"""Arguments of constructors: the checks at construction, and the form in which a config holds them."""

from __future__ import annotations

import inspect
import numbers
from typing import Any

import keras


def positive_integer(name: str, value, layer) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__") or value <= 0:
        raise ValueError(
            f"{type(layer).__name__}: `{name}` must be a positive integer. Received: {name}={value!r}. "
            f"It is a width, for example {name}=64."
        )
    return int(value)


def rate(name: str, value, layer) -> float:
    if is_number(value) and 0.0 <= value < 1.0:
        return float(value)
    raise ValueError(
        f"{type(layer).__name__}: `{name}` is a share of the units and must be a number in [0, 1). "
        f"Received: {name}={value!r}. Write 0.2 for 20%."
    )


def fraction(name: str, value, layer) -> float:
    if is_number(value) and 0.0 <= value <= 1.0:
        return float(value)
    raise ValueError(
        f"{type(layer).__name__}: `{name}` must be a number in [0, 1]. Received: {name}={value!r}. "
        f"Write for example {name}=0.99."
    )


def positive_number(name: str, value, layer, example: float) -> float:
    if is_number(value) and 0.0 < value < float("inf"):
        return float(value)
    raise ValueError(
        f"{type(layer).__name__}: `{name}` must be a positive number. Received: {name}={value!r}. "
        f"Write for example {name}={example}."
    )


def is_number(value) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


KERAS_MODULES = {
    "activation": (keras.activations, "'tanh'"),
    "initializer": (keras.initializers, "'glorot_uniform'"),
    "regularizer": (keras.regularizers, "'l2'"),
    "constraint": (keras.constraints, "'non_neg'"),
}
"""For the last word of an argument's name, the module of Keras that interprets it, and an example."""


def keras_module(argument: str) -> tuple[Any, str]:
    """The entry of `KERAS_MODULES` for an argument; (None, "") for one that Keras does not interpret."""
    return KERAS_MODULES.get(argument.rpartition("_")[2], (None, ""))


def keras_object(name: str, value, layer):
    """The activation, initializer, regularizer or constraint that Keras knows by this name or config."""
    module, example = keras_module(name)
    try:
        return module.get(value)
    except (ValueError, TypeError) as error:
        kind = name.rpartition("_")[2]
        raise ValueError(
            f"{type(layer).__name__}: `{name}` must name a Keras {kind} or be one. Received: {name}={value!r}. "
            f"Write for example {name}={example}."
        ) from error


def another(initializer):
    """A copy that draws numbers of its own: an initializer gives the same numbers at every call."""
    return initializer.clone() if isinstance(initializer, keras.initializers.Initializer) else initializer


def argument_names(layer_class: type) -> list[str]:
    """The arguments of the constructor and of its base classes, without those that Keras' Layer saves itself."""
    names: list[str] = []
    for cls in layer_class.__mro__:
        if cls is keras.layers.Layer:
            break
        parameters = inspect.signature(vars(cls)["__init__"]).parameters.values() if "__init__" in vars(cls) else ()
        named = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        names += [name for name in named if name not in ("self", *names)]
    return names


def serialized(name: str, value):
    """A constructor argument as a config holds it."""
    module, _ = keras_module(name)
    if module is not None:
        return module.serialize(value)
    return keras.saving.serialize_keras_object(value) if isinstance(value, keras.layers.Layer) else value

"""Copies of models and layers that hold recurrent layers: new objects, whose variables are the original's."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import keras

from keras_rnnkit import keras_internals
from keras_rnnkit.conversion.counterparts import counterpart, is_stock, reason_to_keep
from keras_rnnkit.conversion.marking import mark_as_converted
from keras_rnnkit.layers.bidirectional import Bidirectional


class Conversion:
    """The replacements of layers in one conversion. A layer that is used twice, or that refers back to the layer
    around it, has a single replacement.

    remarks: the path and the reason for each attribute that still leads to the original.
    """

    def __init__(self):
        self._replacements: dict[int, Any] = {}
        self.remarks: list[tuple[str, str]] = []

    def replacement_of(self, layer, path: str) -> Any:
        """The layer itself, where there is nothing to convert in it; otherwise our layer for it, or a copy."""
        if id(layer) not in self._replacements:
            self._replacements[id(layer)] = self._replaced(layer, path)
        return self._replacements[id(layer)]

    def _replaced(self, layer, path: str):
        if not isinstance(layer, keras.layers.Layer) or not holds_stock_layers(layer):
            return layer
        if is_stock(layer):
            return counterpart(layer)
        if keras_internals.is_functional(layer):
            return self._graph(layer, path)
        return self._copied(layer, path)

    def _graph(self, model, path: str):
        inputs = keras_internals.graph_inputs_of(model)
        outputs = keras_internals.run_graph(
            model, inputs, lambda operation: self.replacement_of(operation, f"{path}/{operation.name}")
        )
        copy = keras_internals.bare_copy(model, graph=(inputs, outputs))
        self._fill(model, copy, path)
        return copy

    def _copied(self, layer, path: str):
        stock_bidirectional = type(layer) is keras.layers.Bidirectional
        copy = keras_internals.bare_copy(layer, Bidirectional if stock_bidirectional else None)
        self._replacements[id(layer)] = copy  # before its attributes, which may refer to it
        self._fill(layer, copy, path)
        return copy

    def _fill(self, layer, copy, path: str) -> None:
        """Give a bare copy the attributes of the original, and Sequential models their layers."""
        self._replacements[id(layer)] = copy
        if isinstance(layer, keras.Sequential):
            layers = [self._sequential_layer(inner, path) for inner in keras_internals.sequential_layers(layer)]
            keras_internals.fill_sequential(copy, layers)
        for name, value in keras_internals.own_attributes(layer, copy).items():
            setattr(copy, name, self._mapped(value, layer, copy, f"{path}/{name}"))
        mark_as_converted(copy)
        keras_internals.finish_copy(layer, copy, lambda value: self._replacements.get(id(value), value))

    def _sequential_layer(self, layer, path: str):
        if isinstance(layer, keras.layers.InputLayer):
            return keras.layers.InputLayer.from_config(layer.get_config())
        return self.replacement_of(layer, f"{path}/{layer.name}")

    def _mapped(self, value, layer, copy, path: str):
        """An attribute's value for the copy: layers are replaced wherever they are in lists, tuples and dicts."""

        def mapped(item):
            return self._mapped(item, layer, copy, path)

        if isinstance(value, keras.layers.Layer):
            return self.replacement_of(value, path)
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*map(mapped, value))
        if isinstance(value, list | tuple | set):
            plain = next(kind for kind in (list, tuple, set) if isinstance(value, kind))
            return plain(map(mapped, value))
        if isinstance(value, dict):
            return {key: mapped(item) for key, item in value.items()}
        if isinstance(value, types.MethodType) and value.__self__ is layer:
            return types.MethodType(value.__func__, copy)
        if refers_to(value, layer):
            self.remarks.append((path, "it is a function that was made with the original and runs that"))
        return value


def holds_stock_layers(layer) -> bool:
    """Whether the layer is, or holds, a layer that can be converted."""
    return any(is_stock(inner) and reason_to_keep(inner) is None for inner in keras_internals.flatten_layers(layer))


def refers_to(value: Callable | Any, layer) -> bool:
    """Whether a function has the layer among the variables that it closes over."""
    function = getattr(value, "python_function", value)  # of a tf.function
    if getattr(function, "__self__", None) is layer:
        return True
    cells = getattr(function, "__closure__", None) or ()
    return any(cell.cell_contents is layer for cell in cells)

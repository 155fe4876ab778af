"""Any Keras model with its recurrent layers replaced by ours, weights shared."""

from __future__ import annotations

from typing import Any

import keras
from keras import tree

from keras_rnnkit import keras_internals
from keras_rnnkit.cells.adopt import adopt
from keras_rnnkit.layers.bidirectional import Bidirectional
from keras_rnnkit.layers.facades import GRU, LSTM, VanillaRNN
from keras_rnnkit.layers.recurrent import Recurrent

FACADES: dict[type, type[Recurrent]] = {
    keras.layers.LSTM: LSTM,
    keras.layers.GRU: GRU,
    keras.layers.SimpleRNN: VanillaRNN,
}


def convert(model: Any) -> Any:
    """The same model on our layers: same names, same outputs, the very same variables.

    Sequential and functional models, nested ones too, come back as new models that share every layer which is not
    recurrent, and the variables of those which are; training one trains the other. A subclassed model or layer is
    changed in place and returned, since its `call` speaks of its own attributes. A subclass of a Keras recurrent
    layer is left alone: it may compute anything. Compile the result before training it.

    >>> import numpy as np, keras_rnnkit as rk
    >>> stock = keras.Sequential([keras.Input((5, 3)), keras.layers.Bidirectional(keras.layers.GRU(4))])
    >>> ours = rk.convert(stock)
    >>> x = np.ones([2, 5, 3], "float32")
    >>> bool(np.allclose(ours(x), stock(x), atol=1e-6)), ours.weights[0] is stock.weights[0]
    (True, True)
    """
    if not isinstance(model, keras.layers.Layer):
        raise ValueError(
            f"convert takes a Keras model or layer. Received: {type(model).__name__}. "
            "Load a file first, with keras.models.load_model(path)."
        )
    return converted(model, {})


def converted(layer, done: dict[int, Any]):
    """`layer` or what stands for it; `done` keeps a layer that is used twice a single one."""
    if id(layer) not in done:
        rule = next(rule for applies, rule in RULES if applies(layer))
        done[id(layer)] = rule(layer, done)
    return done[id(layer)]


def is_graph(layer) -> bool:
    return isinstance(layer, keras.Sequential) or type(layer) is keras.Model or _is_functional(layer)


def _is_functional(layer) -> bool:
    return type(layer).__name__ == "Functional" and isinstance(layer, keras.Model)


def rebuild(model, done):
    if isinstance(model, keras.Sequential) and not model.built:
        return keras.Sequential([converted(layer, done) for layer in model.layers], name=model.name)
    return keras.models.clone_model(model, clone_function=lambda layer: converted(layer, done))


def recurrent(layer, done):
    config = layer.get_config()
    facade = FACADES.get(type(layer))
    ours: Recurrent = facade.from_config(config) if facade else Recurrent.from_config(config)
    if not layer.built:
        return ours
    swap(ours, "cell", layer.cell if facade is None else adopt(layer.cell))
    ours.built = True
    ours.states = layer.states
    ours._features = None
    return ours


def bidirectional(layer, done):
    ours = Bidirectional.from_config(layer.get_config())
    swap(ours, "forward_layer", converted(layer.forward_layer, done))
    swap(ours, "backward_layer", converted(layer.backward_layer, done))
    ours.built = layer.built
    return ours


def wrapper(layer, done):
    inner = converted(layer.layer, done)
    if inner is layer.layer:
        return layer
    ours = type(layer).from_config(layer.get_config())
    swap(ours, "layer", inner)
    ours.built = layer.built
    return ours


def in_place(layer, done):
    """Replace the recurrent layers among a subclassed layer's attributes."""
    for name, value in list(vars(layer).items()):
        if name.startswith("_") or not any(isinstance(leaf, keras.layers.Layer) for leaf in tree.flatten(value)):
            continue
        swapped = tree.map_structure(lambda v: converted(v, done) if isinstance(v, keras.layers.Layer) else v, value)
        if any(a is not b for a, b in zip(tree.flatten(value), tree.flatten(swapped), strict=True)):
            swap(layer, name, swapped)
    return layer


def swap(layer, name: str, value) -> None:
    """Set an attribute that holds layers, so that Keras forgets the ones it held before."""
    keras_internals.replace_attribute(layer, name, value, previous=tree.flatten(getattr(layer, name)))


def keep(layer, done):
    return layer


RULES = (
    (lambda layer: not isinstance(layer, keras.layers.Layer), keep),  # an operation of the graph
    (lambda layer: isinstance(layer, Recurrent | Bidirectional), keep),
    (lambda layer: type(layer) in FACADES or type(layer) is keras.layers.RNN, recurrent),
    (lambda layer: type(layer) is keras.layers.Bidirectional, bidirectional),
    (lambda layer: isinstance(layer, keras.layers.RNN), keep),
    (is_graph, rebuild),
    (lambda layer: isinstance(layer, keras.layers.Wrapper), wrapper),
    (lambda layer: bool(keras_internals.sublayers(layer)), in_place),
    (lambda layer: True, keep),
)

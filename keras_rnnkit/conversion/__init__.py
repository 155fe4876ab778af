"""Any Keras model with its recurrent layers replaced by ours, weights shared."""

from __future__ import annotations

import warnings
from typing import Any

import keras

from keras_rnnkit.conversion.compiling import compile_like
from keras_rnnkit.conversion.copying import Conversion
from keras_rnnkit.conversion.counterparts import reason_to_keep
from keras_rnnkit.layers.traversal import recurrent_layers


def convert(model: Any) -> Any:
    """A model like the given one, with its recurrent layers on the kernels of keras_rnnkit.

    The result computes the same, trains the same, and saves files that fit the original: weights, checkpoints and
    optimizer states are interchangeable with those of the stock model. The original is not changed.

    Arguments:
        model: any Keras model or layer. Sequential, functional and subclassed models come back as models of their own
            class; layers inside wrappers, lists, tuples, dicts and private attributes are converted as well.

    Returns a new model of the same class and name. It shares every layer in which there is nothing to convert, and the
    variables of those that were converted, so training one trains the other. A layer that has no variables yet gets
    variables of its own. If the original was compiled, the new model is compiled alike, with a copy of the optimizer
    and its state. Where there is nothing to convert, the model itself is returned.

    What stays as it is is named in a warning, with its path and the reason: subclasses of Keras' recurrent layers,
    which may compute anything, and cells that draw a dropout mask for each gate.

    The file of a converted subclassed model runs the constructor of its class when it is loaded, which makes stock
    layers again; `rk.load_model` then converts them. `rk.explain(model)` tells what the layers of a model are.

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
    conversion = Conversion()
    converted = conversion.replacement_of(model, model.name)
    for path, reason in [*kept_layers(model), *conversion.remarks]:
        warnings.warn(f"rk.convert left {path!r} as it is: {reason}.", UserWarning, stacklevel=2)
    if converted is not model and isinstance(model, keras.Model):
        compile_like(model, converted)
    return converted


def kept_layers(model) -> list[tuple[str, str]]:
    """The path of each recurrent layer that cannot be converted, and the reason."""
    reasons = [(path, reason_to_keep(layer)) for path, layer in recurrent_layers(model)]
    return [(path, reason) for path, reason in reasons if reason]

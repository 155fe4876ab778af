"""Extending an optimizer that exists, for `averaging`, `watched` and `synchronized`."""

from __future__ import annotations

from typing import Any

import keras


def applied(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """The optimizer that changes the weights: the one that a LossScaleOptimizer wraps, or the optimizer itself.

    `compile` wraps every optimizer of a model that computes in float16.

    >>> inner = keras.optimizers.SGD()
    >>> applied(keras.optimizers.LossScaleOptimizer(inner)) is inner, applied(inner) is inner
    (True, True)
    """
    while isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer = optimizer.inner_optimizer
    return optimizer


def extend(optimizer: keras.optimizers.Optimizer, extension: type) -> Any:
    """Put `extension` in front of the class of the optimizer that changes the weights; return that optimizer.

    The class keeps its name, and no state is added to what Keras saves: a file has the optimizer that the user chose
    with all of its state, and any Keras can load it.
    """
    inner = applied(optimizer)
    if not isinstance(inner, extension):
        cls = type(inner)
        inner.__class__ = type(cls.__name__, (extension, cls), {"__module__": cls.__module__})
    return inner

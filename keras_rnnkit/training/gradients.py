"""Seeing what clipping does."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_rnnkit import keras_internals


class Watching(keras_internals.BeforeClipping):
    """What `watched` adds to an optimizer."""

    global_clipnorm: float | None

    def build(self, variables):
        super().build(variables)  # type: ignore[misc]
        kinds = {"shape": (), "initializer": "zeros", "dtype": "float32", "trainable": False}
        make = keras.Variable
        self.watched = {name: make(name=f"watched_{name}", **kinds) for name in ("steps", "norm", "largest", "clipped")}

    def before_clipping(self, gradients):
        gradients = super().before_clipping(gradients)
        norm = ops.cast(global_norm([g for g in gradients if g is not None]), "float32")
        seen = self.watched
        seen["steps"].assign_add(1.0)
        seen["norm"].assign_add(norm)
        seen["largest"].assign(ops.maximum(seen["largest"].value, norm))
        if self.global_clipnorm is not None:
            seen["clipped"].assign_add(ops.cast(norm > self.global_clipnorm, "float32"))
        return gradients


def global_norm(gradients: list[Any]) -> Any:
    """||g|| of all gradients as one vector."""
    return ops.sqrt(sum(ops.sum(ops.square(ops.cast(g, "float32"))) for g in gradients))


def watched(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """The same optimizer, which keeps count of gradient norms; `GradientLog` writes them into the logs.

    Clipping is Keras' own: `global_clipnorm` (g <- tau g / ||g|| over the whole gradient), `clipnorm` and `clipvalue`.

    >>> optimizer = watched(keras.optimizers.SGD(1.0, global_clipnorm=0.5))
    >>> weight = keras.Variable([0.0, 0.0])
    >>> optimizer.apply([ops.convert_to_tensor([3.0, 4.0])], [weight])
    >>> [round(float(n), 3) for n in weight.numpy()], {name: float(v) for name, v in optimizer.watched.items()}
    ([-0.3, -0.4], {'steps': 1.0, 'norm': 5.0, 'largest': 5.0, 'clipped': 1.0})
    """
    cls = type(optimizer)
    optimizer.__class__ = type(cls.__name__, (Watching, cls), {"__module__": cls.__module__})
    return optimizer


class GradientLog(keras.callbacks.Callback):
    """Adds to the logs of each epoch the mean and the largest gradient norm, and how often clipping cut it."""

    def on_epoch_begin(self, epoch, logs=None):
        for variable in getattr(self.model.optimizer, "watched", {}).values():
            variable.assign(0.0)

    def on_epoch_end(self, epoch, logs=None):
        seen = {name: float(v.value) for name, v in getattr(self.model.optimizer, "watched", {}).items()}
        if seen and seen["steps"] and logs is not None:
            logs["gradient_norm"] = seen["norm"] / seen["steps"]
            logs["largest_gradient_norm"] = seen["largest"]
            logs["clip_ratio"] = seen["clipped"] / seen["steps"]

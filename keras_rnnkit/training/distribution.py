"""Clipping where a model trains on several devices with `tf.distribute`.

Keras' optimizers clip the gradient of each replica and then sum what is left, which is not the clipped gradient of the
whole batch: it depends on how the batch was divided. `synchronized` sums first.
"""

from __future__ import annotations

import warnings
from typing import Any

import keras

from keras_rnnkit import keras_internals
from keras_rnnkit.training.gradients import Watching, merged
from keras_rnnkit.training.optimizers import applied, extend


class Synchronizing(keras_internals.SumsGradients):
    """What `synchronized` changes in an optimizer."""

    sums = True

    def apply(self, grads, trainable_variables=None):
        super().apply(summed(grads) if self.sums else grads, trainable_variables)  # type: ignore[misc]


class SynchronizingScale:
    """What `synchronize_model` changes in a LossScaleOptimizer, which must see infinite gradients of other replicas."""

    def apply(self, grads, trainable_variables=None):
        super().apply(summed(grads), trainable_variables)  # type: ignore[misc]


def summed(gradients) -> list:
    """Gradients summed over all replicas. Rows of an embedding that more than one of them has are added up."""
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    present = [gradient for gradient in gradients if gradient is not None]
    if context is not None and context.num_replicas_in_sync > 1:
        present = over_replicas(present)
    sums = iter(present)
    return [None if gradient is None else merged(next(sums)) for gradient in gradients]


def over_replicas(tensors: list[Any]) -> list[Any]:
    """The sums of tensors over all replicas; those of the same dtype are exchanged together."""
    import tensorflow as tf

    context, sums = tf.distribute.get_replica_context(), [None] * len(tensors)
    for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
        places = [place for place, tensor in enumerate(tensors) if tensor.dtype == dtype]
        # Workers would join tensors of all dtypes in one message, and fail.
        totals = context.all_reduce(tf.distribute.ReduceOp.SUM, [tensors[place] for place in places])
        for place, total in zip(places, totals, strict=True):
            sums[place] = total
    return sums


def synchronized(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """The same optimizer, which sums the gradients of all replicas of a `tf.distribute` strategy before it clips them.

    A step is then the step of one device on the whole batch, for `global_clipnorm`, `clipnorm` and `clipvalue` alike,
    and `GradientLog` writes the norms of whole gradients. On one device nothing changes, except that rows of the same
    token in an embedding's gradient are added up first, as `watched` does. Only the TensorFlow backend needs this
    function: on JAX the gradient is that of the whole batch from the start.

    Arguments:
        optimizer: any Keras optimizer, also one of `watched` or `averaging`.

    ::

        strategy = tf.distribute.MirroredStrategy()
        with strategy.scope():
            model = build()
            model.compile(rk.training.synchronized(keras.optimizers.Adam(global_clipnorm=1.0)), "mse")
        rk.training.fit(model, windows, epochs=10)
    """
    if keras.backend.backend() == "tensorflow":
        extend(optimizer, Synchronizing)
    return optimizer


def synchronize_model(model) -> None:
    """Make the optimizer of a compiled model `synchronized`.

    A model that computes in float16 has a LossScaleOptimizer around it, which skips a step where a gradient is not
    finite. All replicas must skip it together, so the gradients are summed before that decision.
    """
    inner = extend(model.optimizer, Synchronizing)
    outer = model.optimizer
    if outer is not inner:
        object.__setattr__(inner, "sums", False)
        if not isinstance(outer, SynchronizingScale):
            cls = type(outer)
            outer.__class__ = type(cls.__name__, (SynchronizingScale, cls), {"__module__": cls.__module__})


def warn_if_unsynchronized(model) -> None:
    """Warn where a strategy with more than one replica meets an optimizer that clips or counts norms before it sums."""
    strategy = getattr(model, "distribute_strategy", None)
    replicas = getattr(strategy, "num_replicas_in_sync", 1)
    optimizer = applied(model.optimizer)
    if replicas == 1 or isinstance(optimizer, Synchronizing):
        return
    limits = ("global_clipnorm", "clipnorm", "clipvalue")
    clips = [f"clips ({name}={getattr(optimizer, name)})" for name in limits if getattr(optimizer, name)]
    if clips or isinstance(optimizer, Watching):
        warnings.warn(
            f"The optimizer {optimizer.name!r} {clips[0] if clips else 'measures gradients'} on each of {replicas} "
            "replicas, before their gradients are summed. Compile the model with rk.training.synchronized(optimizer), "
            "which sums first.",
            stacklevel=3,
        )

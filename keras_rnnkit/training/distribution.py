"""Clipping where a model trains on several devices with `tf.distribute`.

Keras' optimizers clip the gradient of each replica and then sum what is left, which is not the clipped gradient of the
whole batch: it depends on how the batch was divided. `synchronized` sums first.
"""

from __future__ import annotations

import warnings

import keras

from keras_rnnkit import keras_internals
from keras_rnnkit.training.gradients import Watching, merged
from keras_rnnkit.training.optimizers import applied, extend


class Synchronizing(keras_internals.SumsGradients):
    """What `synchronized` changes in an optimizer."""

    def apply(self, grads, trainable_variables=None):
        super().apply(summed(grads), trainable_variables)  # type: ignore[misc]


def summed(gradients) -> list:
    """Gradients summed over all replicas. Rows of an embedding that more than one of them has are added up."""
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    present = [gradient for gradient in gradients if gradient is not None]
    if context is not None and context.num_replicas_in_sync > 1:
        present = context.all_reduce(tf.distribute.ReduceOp.SUM, present)
    sums = iter(present)
    return [None if gradient is None else merged(next(sums)) for gradient in gradients]


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

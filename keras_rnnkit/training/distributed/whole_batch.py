"""Losses that are means over the whole batch, where each replica has only some of its rows.

Keras takes the mean over the rows, or over the tokens that count, of each replica, and then the mean of these means.
That is the mean over the batch only if every replica has as many rows, and as many tokens, as the others.

    L = sum_r S_r / sum_r n_r         S_r the sum of replica r, n_r what counts there

A replica returns a loss whose value is L / R, as Keras expects of R replicas, and whose gradient is that of
S_r / sum_r n_r: the sum of the replicas' gradients is then the gradient of L.
"""

from __future__ import annotations

import copy
from typing import Any

import keras
from keras import ops

from keras_rnnkit import keras_internals
from keras_rnnkit.cluster import ClusterError
from keras_rnnkit.training.distribution import over_replicas

MEANS = ("sum_over_batch_size", "mean")


class WholeBatch:
    """What `over_whole_batch` changes in a loss."""

    reduction: str

    def __call__(self, y_true, y_pred, sample_weight=None):
        import tensorflow as tf

        context = tf.distribute.get_replica_context()
        if context is None or context.num_replicas_in_sync == 1:
            return super().__call__(y_true, y_pred, sample_weight)  # type: ignore[misc]
        y_pred = keras.tree.map_structure(ops.convert_to_tensor, y_pred)
        values = self.weighted_values(y_true, y_pred, sample_weight)
        own, count = ops.sum(values), counted(values, y_pred)
        total, number = summed_over_replicas([own, count])
        if self.reduction in MEANS:
            own, total = ops.divide_no_nan(own, number), ops.divide_no_nan(total, number)
        share = total / context.num_replicas_in_sync
        return own + ops.stop_gradient(share - own)

    def weighted_values(self, y_true, y_pred, sample_weight):
        """The losses that Keras would sum up, times their weights; 0 where the mask is false."""
        reduction, self.reduction = self.reduction, "none"
        try:
            return super().__call__(y_true, y_pred, sample_weight)  # type: ignore[misc]
        finally:
            self.reduction = reduction


def summed_over_replicas(values: list[Any]) -> list[Any]:
    """The sums of tensors and variables over all replicas."""
    import tensorflow as tf

    # A tensor that was read from a variable, or is a constant, has no device of its own, and is refused by all_reduce.
    return over_replicas([tf.identity(value) for value in values])


def counted(values, y_pred) -> Any:
    """How many of these values Keras would divide by: those that the mask of the prediction leaves, or all."""
    mask = keras_internals.keras_mask(y_pred) if not keras.tree.is_nested(y_pred) else None
    if mask is None:
        return ops.cast(ops.size(values), values.dtype)
    entries = ops.sum(ops.cast(mask, values.dtype))
    # A mask of rows counts for all values of the row.
    return entries * ops.cast(ops.size(values), values.dtype) / ops.cast(ops.maximum(ops.size(mask), 1), values.dtype)


def over_whole_batch(loss: keras.losses.Loss) -> keras.losses.Loss:
    """The same loss as a mean over the whole batch."""
    if loss.reduction not in (*MEANS, "sum"):
        raise ClusterError(
            f"The loss {loss.name!r} has reduction={loss.reduction!r}, whose value depends on how a batch is divided "
            "among devices. Use 'sum_over_batch_size' or 'sum'."
        )
    cls = type(loss)
    if issubclass(cls, WholeBatch):
        return loss
    whole = copy.copy(loss)  # the user's own object is saved with the model, and must keep its class
    whole.__class__ = type(cls.__name__, (WholeBatch, cls), {"__module__": cls.__module__})
    return whole

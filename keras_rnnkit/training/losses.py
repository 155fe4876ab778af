"""The loss of a language model, made fast for large vocabularies, where it takes most of the time of a step."""

from __future__ import annotations

import keras
from keras import ops

from keras_rnnkit import keras_internals


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class NextToken(keras.losses.Loss):
    """Mean of -log p(target), from logits [..., V] and targets [...].

        nats = log sum_v exp(l_v) - l_target          d nats / d l_v = exp(l_v) / sum_v exp(l_v) - [v = target]

    On TensorFlow the gradient reuses the exponentials of the loss and runs on all cores: on a CPU it takes a third less
    time than TensorFlow's own operator for 400 targets of 12,000 tokens.

    Arguments:
        ignore: a target that does not count, such as that of padding. On TensorFlow it does not count in the metrics of
            the same model either; on JAX give them the same `ignore`.
        smoothing: the fraction of each target's weight that all tokens share (label smoothing, C. Szegedy, 2016).

    >>> loss = NextToken()
    >>> round(float(loss([[0, 1]], [[[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])), 4)
    1.0986
    """

    def __init__(
        self,
        ignore: int | None = None,
        smoothing: float = 0.0,
        name: str = "next_token",
        reduction="sum_over_batch_size",
        **kwargs,
    ):
        super().__init__(name=name, reduction=reduction, **kwargs)
        if not 0 <= smoothing < 1:
            raise ValueError(f"smoothing must be a fraction from 0 to below 1. Received: smoothing={smoothing}.")
        self.ignore, self.smoothing = ignore, smoothing

    def __call__(self, y_true, y_pred, sample_weight=None):
        if self.ignore is not None:
            y_pred = ops.convert_to_tensor(y_pred)
            counts, mask = ops.cast(y_true, "int32") != self.ignore, keras_internals.keras_mask(y_pred)
            # Keras takes the mean over what is not masked. On TensorFlow the metrics get the same tensor afterwards.
            keras_internals.set_keras_mask(y_pred, counts if mask is None else ops.logical_and(mask, counts))
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true, y_pred):
        y_true, y_pred = ops.cast(y_true, "int32"), ops.cast(y_pred, "float32")
        if self.ignore is None:
            return self.nats(y_pred, y_true)
        counts = y_true != self.ignore
        return ops.where(counts, self.nats(y_pred, ops.where(counts, y_true, 0)), 0.0)

    def nats(self, logits, targets):
        nats = (by_tensorflow if keras.backend.backend() == "tensorflow" else by_definition)(logits, targets)
        if not self.smoothing:
            return nats
        chosen = ops.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
        return nats + self.smoothing * (chosen - ops.mean(logits, axis=-1))  # all tokens share the weight

    def get_config(self):
        return {**super().get_config(), "ignore": self.ignore, "smoothing": self.smoothing}


def by_definition(logits, targets):
    """Nats of each target, by the operations of any backend."""
    chosen = ops.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    return ops.logsumexp(logits, axis=-1) - chosen


def by_tensorflow(logits, targets):
    """Nats of each target, with a gradient that is made of the exponentials of the forward pass."""
    import tensorflow as tf

    @tf.custom_gradient
    def solve(logits):
        width = tf.shape(logits)[-1]
        rows = tf.reshape(logits, [-1, width])
        target_indices = tf.stack([tf.range(tf.shape(rows)[0]), tf.reshape(targets, [-1])], axis=1)
        highest = tf.reduce_max(rows, axis=-1, keepdims=True)
        e = tf.exp(rows - highest)
        total = tf.reduce_sum(e, axis=-1, keepdims=True)
        nats = (highest + tf.math.log(total))[:, 0] - tf.gather_nd(rows, target_indices)

        def gradient(upstream):
            share = tf.reshape(upstream, [-1])
            d = tf.tensor_scatter_nd_sub(e * (share[:, None] / total), target_indices, share)
            return tf.reshape(d, tf.shape(logits))

        return tf.reshape(nats, tf.shape(targets)), gradient

    return solve(logits)

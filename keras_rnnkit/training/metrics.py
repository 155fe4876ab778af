"""Metrics of language models: cross-entropy, perplexity, bits per character."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from keras_rnnkit import keras_internals


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class CrossEntropy(keras.metrics.Metric):
    """Mean of -log p(target) over all tokens, in nats; the same however the tokens are cut into batches.

    Masked tokens and tokens of sample weight 0 do not count, nor on TensorFlow what the loss `NextToken` ignores.

    Arguments:
        from_logits: whether the model returns logits; otherwise it returns probabilities.
        ignore: a target that does not count, such as that of padding, for other losses and for JAX.

    >>> metric = CrossEntropy(ignore=0)
    >>> metric.update_state([[1, 0]], [[[0.0, 0.0, 0.0], [9.0, 0.0, 0.0]]])
    >>> round(float(metric.result()), 4)
    1.0986
    """

    def __init__(self, name: str = "cross_entropy", from_logits: bool = True, ignore: int | None = None, **kwargs):
        super().__init__(name=name, **kwargs)
        self.from_logits, self.ignore = from_logits, ignore
        self.total = self.add_variable((), "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, y_true, y_pred, sample_weight=None):
        targets = ops.cast(y_true, "int32")
        weight = ops.ones(ops.shape(targets), "float32")
        if sample_weight is not None:
            weight = weight * broadcast(ops.cast(sample_weight, "float32"), like=targets)
        mask = keras_internals.keras_mask(y_pred)
        if mask is not None:
            weight = weight * ops.cast(mask, "float32")
        if self.ignore is not None:
            weight = weight * ops.cast(targets != self.ignore, "float32")
            targets = ops.where(targets != self.ignore, targets, 0)  # an ignored target need not be a token
        y_pred = ops.cast(y_pred, "float32")
        nats = keras.losses.sparse_categorical_crossentropy(targets, y_pred, self.from_logits)
        self.total.assign_add(ops.sum(ops.where(weight > 0, nats * weight, 0.0)))
        self.count.assign_add(ops.sum(weight))

    def result(self):
        return self.total / ops.maximum(self.count, 1e-9)

    def get_config(self):
        return {**super().get_config(), "from_logits": self.from_logits, "ignore": self.ignore}


def broadcast(weight, like) -> Any:
    """Weights of rows, or of tokens, as weights of tokens."""
    missing = len(like.shape) - len(weight.shape)
    return ops.broadcast_to(ops.reshape(weight, (*ops.shape(weight), *[1] * missing)), ops.shape(like))


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class Perplexity(CrossEntropy):
    """exp(cross-entropy): 1 for a perfect model, the size of the vocabulary for one that takes all tokens for equally
    likely.

    Arguments:
        from_logits, ignore: those of `CrossEntropy`.

    >>> metric = Perplexity()
    >>> metric.update_state([[0, 1]], [[[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
    >>> round(float(metric.result()), 4)
    3.0
    """

    def __init__(self, name: str = "perplexity", **kwargs):
        super().__init__(name=name, **kwargs)

    def result(self):
        return ops.exp(super().result())


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class BitsPerCharacter(CrossEntropy):
    """Cross-entropy in bits, for a model whose tokens are characters.

    Arguments:
        from_logits, ignore: those of `CrossEntropy`.

    >>> metric = BitsPerCharacter()
    >>> metric.update_state([[0, 1]], [[[0.0, 0.0], [0.0, 0.0]]])
    >>> round(float(metric.result()), 4)
    1.0
    """

    def __init__(self, name: str = "bits", **kwargs):
        super().__init__(name=name, **kwargs)

    def result(self):
        return super().result() / math.log(2)

"""How well a model foretells: cross-entropy, perplexity, bits per character."""

from __future__ import annotations

import math

import keras
from keras import ops

from keras_rnnkit import keras_internals


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class CrossEntropy(keras.metrics.Metric):
    """Nats a token: the mean of -log p(target) over all tokens, however they are cut into batches.

    Masked tokens, and those of sample weight 0, do not count.

    Arguments:
        from_logits: whether the model gives logits or probabilities.
    """

    def __init__(self, name: str = "cross_entropy", from_logits: bool = True, **kwargs):
        super().__init__(name=name, **kwargs)
        self.from_logits = from_logits
        self.total = self.add_variable((), "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, y_true, y_pred, sample_weight=None):
        mask = keras_internals.keras_mask(y_pred)
        y_true = ops.cast(y_true, "int32")
        nats = keras.losses.sparse_categorical_crossentropy(y_true, ops.cast(y_pred, "float32"), self.from_logits)
        weight = ops.ones_like(nats) if sample_weight is None else ops.cast(sample_weight, "float32")
        weight = ops.broadcast_to(
            ops.reshape(weight, (*ops.shape(weight), *[1] * (len(nats.shape) - len(weight.shape)))), ops.shape(nats)
        )
        weight = weight if mask is None else weight * ops.cast(mask, "float32")
        self.total.assign_add(ops.sum(ops.where(weight > 0, nats * weight, 0.0)))
        self.count.assign_add(ops.sum(weight))

    def result(self):
        return self.total / ops.maximum(self.count, 1e-9)

    def get_config(self):
        return {**super().get_config(), "from_logits": self.from_logits}


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class Perplexity(CrossEntropy):
    """exp(cross-entropy): 1 for a model that always knows, the size of the vocabulary for one that knows nothing.

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
    """Cross-entropy in bits, of a model whose tokens are characters."""

    def __init__(self, name: str = "bits", **kwargs):
        super().__init__(name=name, **kwargs)

    def result(self):
        return super().result() / math.log(2)

"""Layer normalisation of each head alone."""

from __future__ import annotations

import keras
from keras import ops

from keras_rnnkit.ops import keras as kops

EPSILON = 1e-5


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class HeadNorm(keras.layers.Layer):
    """The units of each head with mean 0 and variance 1, times a learned scale: group normalisation of each step.

    `keras.layers.GroupNormalization` takes the statistics over all steps of a sequence, later ones included.

    Arguments:
        heads: number of groups of units.

    >>> HeadNorm(2)(keras.ops.convert_to_tensor([[[1.0, 3.0, 20.0, 10.0]]])).numpy().round(2).tolist()
    [[[-1.0, 1.0, 1.0, -1.0]]]
    """

    def __init__(self, heads, **kwargs):
        super().__init__(**kwargs)
        self.heads = heads
        self.supports_masking = True

    def build(self, shape):
        self.scale = self.add_weight(name="scale", shape=(shape[-1],), initializer="ones")

    def call(self, x):
        by_head = kops.widen(kops.unflatten(x, (self.heads, x.shape[-1] // self.heads)))
        mean = ops.mean(by_head, axis=-1, keepdims=True)
        centred = by_head - mean
        variance = ops.mean(ops.square(centred), axis=-1, keepdims=True)
        normal = kops.flatten(centred * ops.rsqrt(variance + EPSILON), 2)
        return ops.cast(normal, x.dtype) * ops.cast(self.scale, x.dtype)

    def get_config(self):
        return {**super().get_config(), "heads": self.heads}

"""A layer applied to every frame of a clip at once."""

from __future__ import annotations

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class EachFrame(keras.layers.TimeDistributed):
    """`keras.layers.TimeDistributed` for layers without masks, with all frames as one batch [B * T, ...].

    Keras calls the layer once for each frame: its graph grows with the length of the clips, and where that length is
    not known when the graph is made, it goes over as many frames as the batch has rows (Keras 3.15).

    Shapes: [B, T, ...] to [B, T, ...].

    Arguments:
        layer: the layer, which reads a frame.

    >>> x = ops.ones([2, 3, 4, 4, 1])
    >>> EachFrame(keras.layers.Flatten())(x).shape
    TensorShape([2, 3, 16])
    """

    def call(self, inputs, training=None, mask=None):
        rows, steps = ops.shape(inputs)[:2]
        outputs = self.layer(ops.reshape(inputs, (-1, *inputs.shape[2:])), training=training)
        return ops.reshape(outputs, (rows, steps, *outputs.shape[1:]))

"""How far the convolutions of a model look along the steps."""

from __future__ import annotations

import keras

from keras_rnnkit import keras_internals


def receptive_field(model) -> int:
    """At least the number of steps that an output can depend on through convolutions, pooling and padding.

    Recurrent layers look back further, but they show what they see in every step.

    >>> layers = [keras.layers.ZeroPadding1D((16, 0)), keras.layers.Conv1D(2, 3, dilation_rate=8)]
    >>> receptive_field(keras.Sequential([keras.Input((None, 2)), *layers]))
    32
    """
    reach, stride = 0, 1
    for layer in keras_internals.flatten_layers(model):
        steps, skipped = window(layer)
        reach += steps * stride
        stride *= skipped
    return reach


def window(layer) -> tuple[int, int]:
    """(steps besides its own that a layer looks at, how many steps it goes forward at a time)."""
    if isinstance(layer, keras.layers.MaxPooling1D | keras.layers.AveragePooling1D):
        return layer.pool_size[0] - 1, layer.strides[0]
    if isinstance(layer, keras.layers.ZeroPadding1D | keras.layers.Cropping1D):
        return sum(layer.padding if isinstance(layer, keras.layers.ZeroPadding1D) else layer.cropping), 1
    kernel = getattr(layer, "kernel_size", None)
    if isinstance(kernel, tuple) and len(kernel) == 1:
        return (kernel[0] - 1) * first(layer, "dilation_rate"), first(layer, "strides")
    return 0, 1


def first(layer, name: str) -> int:
    value = getattr(layer, name, 1)
    return value[0] if isinstance(value, tuple) else value

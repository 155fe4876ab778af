"""Whether a layer over many rows computes what it computes row by row: TimeDistributed is then one call."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import tree

from keras_rnnkit import keras_internals
from keras_rnnkit.export.reading.hooks.patches import original_methods

ROWS = ((0, 1), (1, 3), (3, 6))
"""The rows of the batches that are tried beside all rows at once."""
FREE_AXES = (8, 64)
"""Sizes tried for axes that are free; the second for convolutions and poolings that need a larger input."""
TOLERANCE = 1e-5


def folded(layer, inputs, mask, training):
    """The outputs [B, N, ...] of a TimeDistributed by one call on [B * N, ...].

    TensorFlow traces a call for each of N steps, or a loop where N is unknown; this is one recurrence.
    """
    outputs = call(layer, merged(inputs), None if mask is None else merged(mask), training)
    split = tf.reshape(outputs, tf.concat([tf.shape(inputs)[:2], tf.shape(outputs)[1:]], axis=0))
    split.set_shape([*inputs.shape[:2], *outputs.shape[1:]])
    return split


def step_by_step(layer, inputs, mask, training):
    """The outputs [B, N, ...] of a TimeDistributed by a loop over its unknown number of steps.

    Keras vectorizes such a loop, and TensorFlow cannot vectorize what a placeholder stands for.
    """
    batch_and_step = [keras.KerasTensor((None, *x.shape[2:]), x.dtype.name) for x in (inputs, mask) if x is not None]
    with original_methods():
        spec = keras_internals.compute_output_spec(
            lambda x, flags=None: call(layer, x, flags, training), *batch_and_step
        )
    outputs = tf.map_fn(
        lambda i: call(layer, inputs[:, i], None if mask is None else mask[:, i], training),
        tf.range(tf.shape(inputs)[1]),
        fn_output_signature=tf.TensorSpec(spec.shape, spec.dtype),
    )
    return tf.transpose(outputs, [1, 0, *range(2, len(outputs.shape))])


def call(layer, inputs, mask, training):
    """As TimeDistributed calls its layer."""
    keywords: dict[str, Any] = {"training": training} if keras_internals.call_has_training_arg(layer) else {}
    if mask is not None and keras_internals.call_has_mask_arg(layer):
        keywords["mask"] = mask
    return layer.call(inputs, **keywords)


def merged(x):
    """[B * N, ...] from [B, N, ...]."""
    rows = tf.reshape(x, tf.concat([[-1], tf.shape(x)[2:]], axis=0))
    rows.set_shape([None if None in x.shape[:2] else x.shape[0] * x.shape[1], *x.shape[2:]])
    return rows


def treats_rows_alone(layer, inputs, mask) -> bool:
    """Whether the layer computes each row of such inputs [B, N, ...] by itself, tried on rows of random numbers.

    What a layer does cannot be read from its type: a functional model holds operations such as `x - mean(x, axis=0)`.
    """
    if any(getattr(inner, "stateful", False) for inner in keras_internals.flatten_layers(layer)):
        return False
    return any(agrees(layer, inputs, mask, size) for size in FREE_AXES)


def agrees(layer, inputs, mask, free: int) -> bool:
    rng = np.random.default_rng(0)
    x = values(rng, inputs, free)
    flags = None if mask is None else values(rng, mask, free)
    with tf.init_scope(), tf.device("/CPU:0"), original_methods(), keras.StatelessScope():
        try:
            whole = outputs_of(layer, x, flags)
            batches = [outputs_of(layer, x[a:b], None if flags is None else flags[a:b]) for a, b in ROWS]
        except Exception:  # whatever it is, the layer cannot be called on any number of rows
            return False
    return len(whole) == 1 and close(whole[0], np.concatenate([outputs[0] for outputs in batches]))


def outputs_of(layer, x: np.ndarray, mask: np.ndarray | None) -> list[np.ndarray]:
    flags = None if mask is None else tf.constant(mask)
    return [np.asarray(y, np.float64) for y in tree.flatten(call(layer, tf.constant(x), flags, False))]


def values(rng, tensor, free: int) -> np.ndarray:
    """Rows like those of a tensor [B, N, ...]: numbers, some of them zero for layers that mask, tokens, or flags."""
    shape = (ROWS[-1][1], *(free if n is None else n for n in tensor.shape[2:]))
    dtype = tensor.dtype.as_numpy_dtype
    if not tensor.dtype.is_floating:
        return rng.integers(0, 2, size=shape).astype(dtype)
    x = rng.normal(size=shape)
    if len(shape) > 2:
        x[1, shape[1] // 2 :] = 0.0
    return x.astype(dtype)


def close(whole: np.ndarray, batches: np.ndarray) -> bool:
    scale = max(1.0, float(np.max(np.abs(whole[np.isfinite(whole)]), initial=0.0)))
    return whole.shape == batches.shape and np.allclose(whole, batches, rtol=0, atol=TOLERANCE * scale, equal_nan=True)

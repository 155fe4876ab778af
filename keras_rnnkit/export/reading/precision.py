"""Layers that compute in 16 bits are exported as layers that compute in float32."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras

from keras_rnnkit import keras_internals
from keras_rnnkit.export.reading.hooks.patches import Patch, PatchedAttribute, patched

LOW = ("float16", "bfloat16")


@contextlib.contextmanager
def computing_in_float32(model) -> Iterator[bool]:
    """Inside, layers that compute in 16 bits compute in float32 in this thread; yields whether the model has any.

    onnxruntime runs LSTM, GRU and RNN in float32 only, and on a CPU 16 bits are slower. The variables are as they
    were trained, so the graph is at least as exact as the model.
    """
    changed = any(layer.compute_dtype in LOW for layer in keras_internals.flatten_layers(model))

    def patches() -> Iterator[Patch]:
        if changed:  # the reference is called in here, too, and with nothing patched if that can be
            yield PatchedAttribute(keras.layers.Layer, keras_internals.DTYPE_POLICY, in_float32)

    with patched(patches):
        yield changed


def in_float32(layer, policy: Any) -> Any:
    """The policy with the variables as they are, which Keras then casts where a layer reads them."""
    if isinstance(policy, keras.dtype_policies.DTypePolicyMap):
        policy = policy[layer.path]
    if policy.compute_dtype not in LOW:
        return policy
    return keras_internals.with_compute_dtype(policy, "float32")

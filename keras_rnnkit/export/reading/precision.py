"""Mixed precision at export: the graph computes in float32."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras

LOW = ("float16", "bfloat16")


@contextlib.contextmanager
def computing_in_float32(model) -> Iterator[bool]:
    """Inside, layers that compute in 16 bits compute in float32; yields whether there are any.

    onnxruntime runs LSTM, GRU and RNN in float32 only, and on a CPU 16 bits are slower. The variables are as they
    were trained, so the graph is at least as exact as the model.
    """
    changed = [layer for layer in model._flatten_layers() if layer.compute_dtype in LOW]
    policies = [(layer, layer._dtype_policy) for layer in changed]
    try:
        for layer in changed:
            layer._dtype_policy = keras.dtype_policies.DTypePolicy("float32")
        yield bool(changed)
    finally:
        for layer, policy in policies:
            layer._dtype_policy = policy

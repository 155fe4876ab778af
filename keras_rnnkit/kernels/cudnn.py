"""cuDNN's fused LSTM and GRU, reached through Keras' own layers."""

from __future__ import annotations

from typing import Any

import keras

from keras_rnnkit.kernels.call_flags import CallFlags

TAKEN = {"tensorflow": ("LSTM", "GRU"), "jax": ("LSTM",), "torch": ("LSTM", "GRU")}


def refusal(layer, call: CallFlags) -> str | None:
    """Why this kernel cannot run the layer, or None."""
    return refused_by_layer(layer) or refused_by_call(layer, call) or (None if has_gpu() else "there is no GPU")


def refused_by_layer(layer) -> str | None:
    cell, host = layer.cell, keras_host(layer)
    if host is None:
        return "cuDNN has LSTM and GRU only, and this is neither rk.LSTM nor rk.GRU"
    if host.__name__ not in TAKEN.get(keras.backend.backend(), ()):
        return f"Keras does not reach cuDNN's {host.__name__} on the {keras.backend.backend()} backend"
    checks = {
        "use_cudnn=False was asked for": layer.use_cudnn is False,
        "cuDNN's activation is tanh": cell.activation is not keras.activations.tanh,
        "cuDNN's recurrent activation is sigmoid": cell.recurrent_activation is not keras.activations.sigmoid,
        "cuDNN needs the bias": not cell.use_bias,
        "cuDNN drops nothing from the recurrent product": bool(cell.recurrent_dropout),
        "cuDNN's GRU resets after the product": not getattr(cell, "reset_after", True),
        "Keras gives cuDNN no projection": bool(getattr(cell, "projection", None)),
        "unroll=True asks for one copy of the cell a step": layer.unroll,
    }
    return next((reason for reason, holds in checks.items() if holds), None)


def refused_by_call(layer, call: CallFlags) -> str | None:
    if call.resets:
        return "cuDNN cannot reset a row inside a sequence"
    if call.masked and layer.kernel != "cudnn":
        return "cuDNN takes right-padded masks only; say kernel='cudnn' if all of yours are"
    return None


def keras_host(layer) -> type | None:
    """The Keras class whose `inner_loop` reaches cuDNN for this layer."""
    return next((host for host in (keras.layers.LSTM, keras.layers.GRU) if isinstance(layer, host)), None)


def has_gpu() -> bool:
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return bool(tf.config.list_logical_devices("GPU"))
    if keras.backend.backend() == "jax":
        import jax

        return jax.default_backend() == "gpu"
    import torch

    return torch.cuda.is_available()


def run(layer, sequences, initial_state, mask, reset, training):
    """(last output, outputs, last states), from the `inner_loop` of the Keras layer that ours derives from."""
    host: Any = keras_host(layer)
    return host.inner_loop(layer, sequences, initial_state, mask, training=training)

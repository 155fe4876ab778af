"""cuDNN's fused LSTM and GRU, reached through the functions that Keras' own layers call."""

from __future__ import annotations

from typing import Any

import keras

from keras_rnnkit import keras_internals
from keras_rnnkit.cells.base import dropped
from keras_rnnkit.kernels import hoisted, scan
from keras_rnnkit.kernels.call_flags import CallFlags
from keras_rnnkit.kernels.recurrence import per_row

REACHED = {"tensorflow": ("LSTM", "GRU"), "jax": ("LSTM",), "torch": ("LSTM", "GRU")}
"""The layers for which Keras calls cuDNN, for each backend."""


def refusal(layer, call: CallFlags) -> str | None:
    """Why this kernel cannot run the layer, or None."""
    return refused_by_layer(layer) or refused_by_call(layer, call) or (None if has_gpu() else "there is no GPU")


def refused_by_layer(layer) -> str | None:
    cell, host = layer.cell, keras_host(layer)
    if host is None:
        return "cuDNN has LSTM and GRU only, and this is neither rk.LSTM nor rk.GRU"
    if host.__name__ not in REACHED.get(keras.backend.backend(), ()):
        return f"Keras does not reach cuDNN's {host.__name__} on the {keras.backend.backend()} backend"
    checks = {
        "use_cudnn=False was asked for": layer.use_cudnn is False,
        "cuDNN's activation is tanh": cell.activation is not keras.activations.tanh,
        "cuDNN's recurrent activation is sigmoid": cell.recurrent_activation is not keras.activations.sigmoid,
        "cuDNN needs the bias": not cell.use_bias,
        "cuDNN drops nothing from the recurrent product": bool(cell.recurrent_dropout),
        "cuDNN's GRU resets after the product": not getattr(cell, "reset_after", True),
        "Keras gives cuDNN no projection": bool(getattr(cell, "projection", None)),
        "unroll=True asks for one copy of the cell for each step": layer.unroll,
    }
    return next((reason for reason, holds in checks.items() if holds), None)


def refused_by_call(layer, call: CallFlags) -> str | None:
    if call.resets:
        return "cuDNN cannot reset a row inside a sequence"
    if call.masked and keras.backend.backend() == "jax":
        return "Keras gives cuDNN no masks on the jax backend"
    if call.masked and keras.backend.backend() == "torch" and layer.kernel != "cudnn":
        return "cuDNN takes right-padded masks only; write kernel='cudnn' if all of yours are"
    return None


def remark(layer, call: CallFlags) -> str:
    """A sentence about decisions at run time, for a layer that this kernel runs; an empty string for none."""
    if not chooses_at_run_time(layer, call):
        return ""
    return f"for batches whose mask is right-padded, without empty rows; others run on {loop_kernel(layer, call)[0]}"


def keras_host(layer) -> type | None:
    """The Keras class that reaches cuDNN for this layer."""
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
    """(last output, outputs, last states), as Keras' `inner_loop` returns them."""
    call = CallFlags(masked=mask is not None)

    def loop():
        return loop_kernel(layer, call)[1].run(layer, sequences, initial_state, mask, reset, training)

    def fused():
        x = dropped_for_all_steps(layer, sequences) if training else sequences
        try:
            return with_padding(layer, mask, fused_outputs(layer, x, initial_state, mask))
        except (
            NotImplementedError
        ):  # Keras found no cuDNN for this device after all, for example under tf.device("CPU")
            return loop()

    if not chooses_at_run_time(layer, call):
        return fused()
    import tensorflow as tf

    return tf.cond(is_taken_by_cudnn(mask), fused, loop)


def chooses_at_run_time(layer, call: CallFlags) -> bool:
    """Whether the graph looks at each mask. A layer that names cuDNN gets cuDNN, or Keras' error about the mask."""
    return call.masked and layer.kernel == "auto" and keras.backend.backend() == "tensorflow"


def loop_kernel(layer, call: CallFlags) -> tuple[str, Any]:
    """The kernel, and its name, for what cuDNN cannot take."""
    return ("scan", scan) if hoisted.refusal(layer, call) else ("hoisted", hoisted)


def is_taken_by_cudnn(mask):
    """Keras' own test: every row is valid from its first step to its last valid one, and has at least one."""
    mask = keras.ops.cast(mask, "bool")
    right_padded = keras.ops.all(mask[:, :-1] | ~mask[:, 1:])
    return right_padded & keras.ops.all(keras.ops.any(mask, axis=1))


def dropped_for_all_steps(layer, sequences):
    mask = layer.cell.get_dropout_mask(sequences[:, 0])
    return dropped(sequences, None if mask is None else mask[:, None])


def fused_outputs(layer, x, initial_state, mask):
    """cuDNN's result through Keras' function, which raises NotImplementedError where the device has no cuDNN."""
    cell = layer.cell
    arguments = {
        "kernel": cell.kernel,
        "recurrent_kernel": cell.recurrent_kernel,
        "bias": cell.bias,
        "activation": cell.activation,
        "recurrent_activation": cell.recurrent_activation,
        "return_sequences": layer.return_sequences,
        "go_backwards": layer.go_backwards,
        "unroll": False,
    }
    if keras_host(layer) is keras.layers.GRU:
        return keras_internals.fused_gru(x, initial_state[0], mask, reset_after=True, **arguments)
    return keras_internals.fused_lstm(x, *initial_state, mask, **arguments)


def with_padding(layer, mask, result):
    """The result with masked steps as the other kernels have them: the last output again, or zeros.

    cuDNN leaves zeros at masked steps. With go_backwards these come first, where every kernel has zeros.
    """
    last, outputs, states = result
    if mask is None:
        return last, outputs, states
    last = states[0]
    if not layer.go_backwards and layer.zero_output_for_mask:
        last = keras.ops.where(mask[:, -1:], last, keras.ops.zeros_like(last))
    elif not layer.go_backwards:
        outputs = (
            keras.ops.where(per_row(mask, outputs), outputs, states[0][:, None]) if layer.return_sequences else outputs
        )
    return last, outputs if layer.return_sequences else last[:, None], states

"""Singular values of recurrent matrices, and of the product of the Jacobians from one step to the next.

    dh_T/dh_t = J_T J_{T-1} ... J_{t+1},  J_k = dh_k/dh_{k-1}

The largest singular value says how much a gradient can grow on the way back, the smallest how much of it is lost.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_rnnkit.training.gradient_flow import recorded_states


def jacobian_products(model: Any, x: np.ndarray) -> np.ndarray:
    """dh_T/dh_t of the lowest recurrent layer for all lags from 1 on, [T - 1, S, S], for the input of one row.

    The state has the memory of an LSTM beside its output, so S is twice its units.

    Arguments:
        model: a model whose input is x.
        x: one row [1, T, ...].
    """
    import tensorflow as tf

    layer = next(iter(model_layers(model)))
    size = sum(part if isinstance(part, int) else part[0] for part in keras.tree.flatten(layer.state_size))
    rows = np.repeat(x, size, axis=0)  # row i is for the gradient of number i of the last state
    with recorded_states(model) as states, tf.GradientTape() as tape:
        model(keras.ops.convert_to_tensor(rows), training=False)
        steps = [list(step) for step in next(iter(states.values()))]
        value = tf.linalg.trace(tf.concat(steps[-1], axis=-1))
    gradients = tape.gradient(value, steps[:-1], unconnected_gradients="zero")
    return np.stack([np.concatenate([np.asarray(part) for part in step], -1) for step in reversed(gradients)])


def model_layers(model: Any) -> list[Any]:
    """The recurrent layers of a model that read forwards, from the bottom up."""
    from keras_rnnkit import keras_internals

    layers = keras_internals.flatten_layers(model)
    return [layer for layer in layers if isinstance(layer, keras.layers.RNN) and not layer.go_backwards]


def singular_values(matrices: np.ndarray) -> np.ndarray:
    """The singular values of square matrices [..., S], the largest first."""
    return np.linalg.svd(matrices.astype(np.float64), compute_uv=False)


def recurrent_spectra(model: Any) -> dict[str, np.ndarray]:
    """The singular values of the recurrent matrix of the lowest layer, one array for the matrix of each gate."""
    kernel = np.asarray(model_layers(model)[0].cell.recurrent_kernel)
    units = kernel.shape[0]
    gates = kernel.shape[1] // units
    names = {1: ["h"], 3: ["update", "reset", "candidate"], 4: ["input", "forget", "candidate", "output"]}
    blocks = [kernel[:, i * units : (i + 1) * units] for i in range(gates)]
    return {name: singular_values(block) for name, block in zip(names[gates], blocks, strict=True)}

"""LSTM and GRU outside Keras: torch's layers, and plain JAX with lax.scan, where they are installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_rnnkit.bench.train_steps import Gradients, Step

TORCH_GATES = {"LSTM": [0, 1, 2, 3], "GRU": [1, 0, 2]}
"""Which of Keras' gates each of torch's gates is: torch has the reset gate of a GRU before the update gate."""


def contenders(name: str, data) -> dict[str, Callable[[], Step]]:
    """What else is installed that has this layer."""
    found: dict[str, Callable[[], Step]] = {}
    if name not in TORCH_GATES:
        return found
    if importlib.util.find_spec("torch"):
        found["torch"] = lambda: torch_step(name, data)
    if importlib.util.find_spec("jax"):
        found["plain JAX"] = lambda: jax_step(name, data)
    return found


def keras_weights(name: str, data) -> list[np.ndarray]:
    layer = getattr(keras.layers, name)(data.shape.units)
    layer.build((None, None, data.shape.features))
    return data.weights_like(layer)


def reordered(array: np.ndarray, order: list[int], axis: int = -1) -> np.ndarray:
    gates = np.split(array, len(order), axis=axis)
    return np.concatenate([gates[i] for i in order], axis=axis)


def torch_step(name: str, data) -> Step:
    import torch

    order, device = TORCH_GATES[name], "cuda" if torch.cuda.is_available() else "cpu"
    kernel, recurrent, bias = keras_weights(name, data)
    biases = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])
    layer: Any = getattr(torch.nn, name)(data.shape.features, data.shape.units, batch_first=True).to(device)
    parameters = [layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0, layer.bias_hh_l0]
    values = [reordered(kernel, order).T, reordered(recurrent, order).T, *(reordered(b, order) for b in biases)]
    with torch.no_grad():
        for parameter, value in zip(parameters, values, strict=True):
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(value)))
    x, upstream = torch.from_numpy(data.x).to(device), torch.from_numpy(data.upstream).to(device)

    def run() -> Gradients:
        layer.zero_grad(set_to_none=True)
        (layer(x)[0] * upstream).sum().backward()
        d_kernel, d_recurrent, *d_biases = (parameter.grad.cpu().numpy() for parameter in parameters)
        d_biases = [reordered(d, order) for d in d_biases]
        d_bias = np.stack(d_biases) if bias.ndim == 2 else d_biases[0]
        return [reordered(d_kernel.T, order), reordered(d_recurrent.T, order), d_bias]

    return Step(run, run)


def jax_step(name: str, data) -> Step:
    import jax
    import jax.numpy as jnp

    cell = {"LSTM": jax_lstm, "GRU": jax_gru}[name]
    weights = [jnp.asarray(w) for w in keras_weights(name, data)]
    x, upstream = (jnp.swapaxes(jnp.asarray(a), 0, 1) for a in (data.x, data.upstream))

    def loss(weights):
        zeros = jnp.zeros((data.shape.batch, data.shape.units))
        _, y = jax.lax.scan(lambda state, x: cell(weights, state, x), (zeros, zeros), x)
        return jnp.sum(y * upstream)

    jitted = jax.jit(jax.grad(loss))

    def run() -> Gradients:
        return [np.asarray(g) for g in jitted(weights)]

    return Step(run, run)


def jax_lstm(weights, state, x):
    import jax.numpy as jnp
    from jax.nn import sigmoid

    kernel, recurrent, bias = weights
    h, c = state
    i, f, g, o = jnp.split(x @ kernel + h @ recurrent + bias, 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * jnp.tanh(g)
    h = sigmoid(o) * jnp.tanh(c)
    return (h, c), h


def jax_gru(weights, state, x):
    import jax.numpy as jnp
    from jax.nn import sigmoid

    kernel, recurrent, bias = weights
    h, unused = state
    z_u, z_s, z_k = jnp.split(x @ kernel + bias[0], 3, axis=-1)
    r_u, r_s, r_k = jnp.split(h @ recurrent + bias[1], 3, axis=-1)
    u = sigmoid(z_u + r_u)
    h = u * h + (1.0 - u) * jnp.tanh(z_k + sigmoid(z_s + r_s) * r_k)
    return (h, unused), h

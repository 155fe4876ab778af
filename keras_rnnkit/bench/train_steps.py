"""Training steps as plain functions, on whatever backend Keras runs."""

from __future__ import annotations

from collections.abc import Callable
from unittest import mock

import keras
import numpy as np

from keras_rnnkit.kernels import loop_choice

Gradients = list[np.ndarray]


def gradient_step(layer, x, upstream, mask) -> Callable[[], Gradients]:
    """The gradients of all weights of a layer, of the loss sum(y * upstream): forward, back, and nothing else."""
    maker = {"tensorflow": tensorflow_step, "jax": jax_step}.get(keras.backend.backend())
    if maker is None:
        raise ValueError(
            f"bench train runs on the tensorflow and jax backends of Keras. Received: {keras.backend.backend()}. "
            "Set KERAS_BACKEND to one of them."
        )
    return maker(layer, x, upstream, mask)


def tensorflow_step(layer, x, upstream, mask) -> Callable[[], Gradients]:
    import tensorflow as tf

    arguments = [tf.constant(x), tf.constant(upstream), *([] if mask is None else [tf.constant(mask)])]

    @tf.function
    def run(x, upstream, mask=None):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(x, mask=mask, training=True) * upstream)
        return tape.gradient(loss, [v.value for v in layer.trainable_variables])

    return lambda: [g.numpy() for g in run(*arguments)]


def jax_step(layer, x, upstream, mask) -> Callable[[], Gradients]:
    import jax
    import jax.numpy as jnp

    fixed = [v.value for v in layer.non_trainable_variables]
    weights = [v.value for v in layer.trainable_variables]
    arguments = [jnp.asarray(x), jnp.asarray(upstream), None if mask is None else jnp.asarray(mask)]

    def loss(weights, x, upstream, mask):
        y, _ = layer.stateless_call(weights, fixed, x, mask=mask, training=True)
        return jnp.sum(y * upstream)

    run = jax.jit(jax.grad(loss))
    return lambda: [np.asarray(g) for g in run(weights, *arguments)]


def with_graph_loop(step, make) -> Callable[[], Gradients]:
    """The step of our layer with the graph loop, which is chosen when the step is traced: at its first run."""
    with mock.patch.object(loop_choice, "SHORTEST_COMPILED", 10**9):
        run = step(make)
        run()
    return run


def fit_step(layer, units: int, batch: int, steps: int, tokens: int, count: int) -> Callable[[], Gradients]:
    """An epoch of `count` steps of `model.fit`. Returns how each weight of the model moved."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((steps,), dtype="int32"),
            keras.layers.Embedding(tokens, units),
            layer(units, return_sequences=True),
            layer(units, return_sequences=True),
            keras.layers.Dense(tokens),
        ]
    )
    model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    rng = np.random.default_rng(0)
    start = [0.1 * rng.normal(size=w.shape).astype("float32") for w in model.get_weights()]
    text = rng.integers(0, tokens, size=(batch * count, steps + 1)).astype("int32")
    x, y = text[:, :-1], text[:, 1:]

    def run() -> Gradients:
        model.set_weights(start)
        model.fit(x, y, batch_size=batch, shuffle=False, verbose=0)
        return [after - before for after, before in zip(model.get_weights(), start, strict=True)]

    return run

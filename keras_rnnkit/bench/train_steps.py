"""Training steps as plain functions, on whatever backend Keras runs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from unittest import mock

import keras
import numpy as np

from keras_rnnkit import keras_internals
from keras_rnnkit.kernels import loop_choice
from keras_rnnkit.tf_datasets import untuned

Gradients = list[np.ndarray]
RATE = 0.1
RATE_OF_CHECK = 1e4
"""Learning rate of the single step whose movement is compared: weights move by more than their own rounding."""


class Step(NamedTuple):
    """A training step. run: what is timed. gradients: those that it takes, to be compared; often the same function."""

    run: Callable[[], Any]
    gradients: Callable[[], Gradients]


def gradient_step(layer, x, upstream, mask, jit: bool = False) -> Step:
    """The gradients of all weights of a layer, of the loss sum(y * upstream): forward, back, and nothing else.

    jit: XLA compiles the whole step, as `model.compile(jit_compile=True)` asks for. JAX always does.
    """
    maker = {"tensorflow": tensorflow_step, "jax": jax_step}.get(keras.backend.backend())
    if maker is None:
        raise ValueError(
            f"bench train runs on the tensorflow and jax backends of Keras. Received: {keras.backend.backend()}. "
            "Set KERAS_BACKEND to one of them."
        )
    run = maker(layer, x, upstream, mask, jit)
    return Step(run, run)


def tensorflow_step(layer, x, upstream, mask, jit) -> Callable[[], Gradients]:
    import tensorflow as tf

    arguments = [tf.constant(x), tf.constant(upstream), *([] if mask is None else [tf.constant(mask)])]

    @tf.function(jit_compile=jit or None)
    def run(x, upstream, mask=None):
        with tf.GradientTape() as tape:
            y = layer(x, mask=mask, training=True)
            loss = tf.reduce_sum(tf.cast(y, upstream.dtype) * upstream)
        return tape.gradient(loss, [v.value for v in layer.trainable_variables])

    return lambda: [g.numpy() for g in run(*arguments)]


def jax_step(layer, x, upstream, mask, jit) -> Callable[[], Gradients]:
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


@contextlib.contextmanager
def default_dtype(name: str) -> Iterator[None]:
    """Layers that are made in this context compute in this dtype, or by this policy such as "mixed_bfloat16"."""
    policy, floats = keras.config.dtype_policy(), keras.config.floatx()
    keras.config.set_dtype_policy(name)
    if name == "float64":  # losses compute in the default float
        keras.config.set_floatx(name)
    try:
        with float64_arrays() if name == "float64" else contextlib.nullcontext():
            yield
    finally:
        keras.config.set_floatx(floats)
        keras.config.set_dtype_policy(policy)


@contextlib.contextmanager
def float64_arrays() -> Iterator[None]:
    """A context in which the backend has float64, which JAX makes only if asked to."""
    if keras.backend.backend() != "jax":
        yield
        return
    import jax

    with jax.enable_x64(True), keras_internals.double_precision():
        yield


def with_graph_loop(step, make) -> Step:
    """The step of our layer with the graph loop, which is chosen when the step is traced: at its first run."""
    with mock.patch.object(loop_choice, "SHORTEST_COMPILED", 10**9):
        graph_step = step(make)
        graph_step.run()
    return graph_step


def fit_step(layer, units: int, batch: int, steps: int, tokens: int, count: int) -> Step:
    """An epoch of `count` steps of `model.fit`. Its gradients are how each weight moves in the first step alone.

    In later steps the differences of rounding grow, because each begins from other weights. The data are an untuned
    dataset: with arrays, both wait after half of their epochs, and for as long again, for a thread of tf.data.
    """
    import tensorflow as tf

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
    model.compile(keras.optimizers.SGD(RATE), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    rng = np.random.default_rng(0)
    start = [0.1 * rng.normal(size=w.shape).astype("float32") for w in model.get_weights()]
    text = rng.integers(0, tokens, size=(batch * count, steps + 1)).astype("int32")
    x, y = text[:, :-1], text[:, 1:]

    def batches(*arrays):
        return untuned(tf.data.Dataset.from_tensor_slices(arrays).batch(batch))

    def moved(rows: int, rate: float) -> Gradients:
        model.set_weights(start)
        model.optimizer.learning_rate = rate
        model.fit(batches(x[:rows], y[:rows]), shuffle=False, verbose=0)
        return [after - before for after, before in zip(model.get_weights(), start, strict=True)]

    return Step(lambda: moved(len(x), RATE), lambda: moved(batch, RATE_OF_CHECK))

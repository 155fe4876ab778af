"""Which loop the hoisted kernel runs: a table over the backend, the device and what is known of the length."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple

import keras

SHORTEST_COMPILED = 16
"""Steps from which a compiled loop pays for being compiled."""

EXACT_LENGTHS = 4
"""Different known lengths that get a program of their own; more of them share programs of rounded lengths."""


class LoopChoice(NamedTuple):
    """compiled: by XLA, instead of a graph of TensorFlow's operations. capacity: the steps that a program is for, where
    that is not the length itself. in_float32: half precision is computed in float32 inside the loop. reason: why."""

    compiled: bool
    capacity: Any
    in_float32: bool
    reason: str


def describe(length: int | None) -> str:
    """For tables such as `rk.explain`: the loop of a training step over sequences of this length, None for any."""
    if keras.backend.backend() != "tensorflow":
        return "trains in a compiled loop"
    reason = why_not_compiled(length)
    if reason:
        return f"trains in a graph loop: {reason}"
    return "trains in a compiled loop" + ("" if length else ", one for each power of two of the length")


def why_not_compiled(length: int | None) -> str | None:
    import tensorflow as tf

    if not tf.test.is_built_with_xla():
        return "this TensorFlow has no XLA"
    if tf.config.list_logical_devices("GPU"):
        return "on a GPU the operations of a step are started ahead of it"
    if length is not None and length < SHORTEST_COMPILED:
        return f"compiling pays from {SHORTEST_COMPILED} steps on"
    return None


def choose(z, differentiable: bool) -> LoopChoice:
    """The loop for projected inputs z [T, B, ...] on TensorFlow."""
    import tensorflow as tf

    first = tf.nest.flatten(z)[0]
    length = first.shape[0]
    reason = why_not_compiled(length) if differentiable else "inference keeps nothing for a way back"
    in_float32 = not tf.config.list_logical_devices("GPU")
    if reason:
        return LoopChoice(False, None, in_float32, reason)
    if length is not None and has_program(first.shape):
        return LoopChoice(True, None, in_float32, "")
    return LoopChoice(True, rounded_up(tf.shape(first)[0]), in_float32, "")


_lengths: OrderedDict[tuple, set[int]] = OrderedDict()


def has_program(shape) -> bool:
    """Whether this known length gets a program of its own; few lengths do, so that changing ones compile seldom."""
    lengths = _lengths.setdefault(tuple(shape[2:]), set())
    if len(lengths) < EXACT_LENGTHS:
        lengths.add(shape[0])
    return shape[0] in lengths


def rounded_up(length):
    """The next power of two, 16 at least: at most a dozen programs for all lengths."""
    import tensorflow as tf

    exponent = tf.math.ceil(
        tf.math.log(tf.cast(tf.maximum(length, SHORTEST_COMPILED), tf.float64))
        / tf.math.log(tf.constant(2.0, tf.float64))
        - 1e-9
    )
    return tf.cast(tf.math.round(tf.pow(tf.constant(2.0, tf.float64), exponent)), tf.int32)

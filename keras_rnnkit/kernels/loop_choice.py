"""Which loop the hoisted kernel runs: a table over the backend, the device and what is known of the length."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras

SHORTEST_COMPILED = 16
"""Steps from which a compiled loop pays for being compiled."""

EXACT_LENGTHS = 4
"""Different known lengths that get a program of their own; more of them share programs of rounded lengths."""


class LoopChoice(NamedTuple):
    """How the loops of one call run.

    compiled: by XLA, instead of as a graph of TensorFlow's operations.
    xs: what the loop reads. in_float32: half precision is computed in float32 inside the loop.
    capacity: the steps that a program is for, where that is not the length of xs. steps: how many to return.
    """

    compiled: bool
    xs: Any
    in_float32: bool
    capacity: Any = None
    steps: Any = None


def describe(length: int | None) -> str:
    """For tables such as `rk.explain`: the loop of a training step over sequences of this length, None for any."""
    reason = why_not_compiled(length) if keras.backend.backend() == "tensorflow" else None
    return f"trains in a graph loop: {reason}" if reason else "trains in a compiled loop"


def why_not_compiled(length: int | None) -> str | None:
    import tensorflow as tf

    if not tf.test.is_built_with_xla():
        return "this TensorFlow has no XLA"
    if tf.config.list_logical_devices("GPU"):
        return "on a GPU, where a step's operations are started ahead of it"
    if length is not None and length < SHORTEST_COMPILED:
        return f"compiling pays from {SHORTEST_COMPILED} steps on"
    return None


def choose(inputs, differentiable: bool) -> LoopChoice:
    """The loop on TensorFlow for these `LoopInputs`."""
    import tensorflow as tf

    in_float32 = not tf.config.list_logical_devices("GPU")
    if not differentiable or why_not_compiled(inputs.length):
        return LoopChoice(False, inputs.first(), in_float32)
    xs = inputs.first(None if inputs.mask is None else longest(inputs.active))
    first = tf.nest.flatten(xs["z"])[0]
    if has_program(inputs.length, first.shape[2:]):
        capacity = None if inputs.mask is None else inputs.length
        return LoopChoice(True, xs, in_float32, capacity, inputs.length)
    steps = tf.shape(first if inputs.mask is None else inputs.mask)[0]
    return LoopChoice(True, xs, in_float32, rounded_up(steps), steps)


def longest(active):
    """The steps up to the last active one of any row, one at least: what is behind them changes nothing."""
    import tensorflow as tf

    times = tf.range(1, tf.shape(active)[0] + 1)
    return tf.maximum(tf.reduce_max(tf.where(tf.reduce_any(active, axis=1), times, 0)), 1)


_lengths: dict[tuple, set[int]] = {}


def has_program(length: int | None, widths) -> bool:
    """Whether this length gets a program of its own. A few known ones do; changing ones must not compile each time."""
    if length is None:
        return False
    lengths = _lengths.setdefault(tuple(widths), set())
    if len(lengths) < EXACT_LENGTHS:
        lengths.add(length)
    return length in lengths


def rounded_up(length):
    """The next power of two, from 16 on: all lengths share a dozen programs."""
    import tensorflow as tf

    sizes = tf.constant([2**n for n in range(4, 31)])
    return sizes[tf.searchsorted(sizes, [length])[0]]

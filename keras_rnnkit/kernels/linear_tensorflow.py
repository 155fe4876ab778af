"""The two linear recurrences in TensorFlow: as a compiled loop, or as passes over the whole sequence."""

from __future__ import annotations

import functools

import tensorflow as tf

from keras_rnnkit.kernels import graph_loops, loop_choice
from keras_rnnkit.kernels.compiled_loops import loop

HALF_PRECISION = (tf.float16, tf.bfloat16)


def forward(recurrence, a, b, first):
    """s_t = a_t * s_{t-1} + b_t."""
    if compiles(recurrence, a):
        return compiled(recurrence, (a, b, first), backwards=False)
    if on_gpu():
        return associative_scan(recurrence, a, tf.concat([b[:1] + recurrence.times(a[:1], first[None]), b[1:]], axis=0))

    def step(now, carry):
        s = recurrence.times(now[0], carry[0]) + now[1]
        return [s], s

    return graph_loops.loop(step, (a, b), [first], out_like=first)[1]


def backward(recurrence, a, d):
    """g_t = d_t + a_{t+1} * g_{t+1}."""
    if compiles(recurrence, a):
        return compiled(recurrence, (a, d), backwards=True)
    if on_gpu():
        after = tf.concat([a[1:], tf.zeros_like(a[:1])], axis=0)
        return associative_scan(recurrence, after[::-1], d[::-1])[::-1]

    def step(now, carry):
        g = carry[0] + now[1]
        return [recurrence.times(now[0], g)], g

    like = tf.zeros_like(d[0])
    return graph_loops.loop(step, (a, d), [like], out_like=like, backwards=True)[1]


def compiles(recurrence, a) -> bool:
    return recurrence.training and loop_choice.why_not_compiled(a.shape[0]) is None


def remark() -> str:
    """How the recurrence runs on this device, where that is not a loop; for tables such as `rk.explain`."""
    return "as an associative scan on the GPU: log2(T) passes over all T steps" if on_gpu() else ""


def on_gpu() -> bool:
    return bool(tf.config.list_logical_devices("GPU"))


def compiled(recurrence, arrays, backwards: bool):
    """The loop under XLA, in float32 at least: a sum over thousands of steps loses its small parts in 16 bits."""
    steps, dtype = arrays[0], arrays[0].dtype
    length = steps.shape[0]
    arrays = [tf.stop_gradient(x) for x in arrays]  # the gradient is ours: a second tape could not derive one of XLA's
    if dtype in HALF_PRECISION:
        arrays = [tf.cast(x, tf.float32) for x in arrays]
    program = programs(recurrence.is_complex)[backwards]
    if loop_choice.has_program(length, steps.shape[2:]):
        return tf.cast(program(*arrays, length), dtype)
    count = tf.shape(steps)[0]
    missing = loop_choice.rounded_up(count) - count
    padded = [tf.pad(x, [[0, missing], [0, 0], [0, 0]]) if x.shape.rank == 3 else x for x in arrays]
    stack = program(*padded, count)[:count]
    return tf.cast(tf.ensure_shape(stack, steps.shape), dtype)


@functools.cache
def programs(is_complex: bool):
    """The compiled loops, forward and back. Nothing of a cell is in them, so all linear cells share them."""
    times = complex_product if is_complex else tf.multiply

    def run_forward(a, b, first, length):
        def step(t, carry):
            s = times(a[t], carry[0]) + b[t]
            return [s], s

        return loop(step, capacity(a), length, [first])[1]

    def run_backward(a, d, length):
        def step(i, carry):
            t = length - 1 - i
            g = carry[0] + d[t]
            return [times(a[t], g)], g

        return loop(step, capacity(a), length, [tf.zeros_like(d[0])], backwards=True)[1]

    return [tf.function(f, jit_compile=True, autograph=False) for f in (run_forward, run_backward)]


def capacity(a):
    return tf.shape(a)[0] if a.shape[0] is None else a.shape[0]


def complex_product(a, s):
    (a_re, a_im), (s_re, s_im) = tf.split(a, 2, axis=-1), tf.split(s, 2, axis=-1)
    return tf.concat([a_re * s_re - a_im * s_im, a_re * s_im + a_im * s_re], axis=-1)


def associative_scan(recurrence, a, b):
    """The states for a first state of zero, by the scan of Hillis and Steele (1986).

    After each pass, b_t is what the last 2 * span steps have added, and a_t is the product of their decays.
    """
    length = tf.shape(a)[0]

    def join(span, a, b):
        b = tf.concat([b[:span], b[span:] + recurrence.times(a[span:], b[:-span])], axis=0)
        a = tf.concat([a[:span], recurrence.times(a[span:], a[:-span])], axis=0)
        return span * 2, tf.ensure_shape(a, shape), tf.ensure_shape(b, shape)

    shape = a.shape
    return tf.while_loop(lambda span, *_: span < length, join, (tf.constant(1), a, b))[2]

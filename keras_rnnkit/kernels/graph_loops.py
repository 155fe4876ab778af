"""Loops over time made of TensorFlow's own operations."""

from __future__ import annotations

import tensorflow as tf

BLOCK = 5
"""Steps in one turn of the while loop: a turn costs TensorFlow as much as the arithmetic of a step of a small cell."""


MOST_UNROLLED = 7
"""Steps up to which a loop is not worth starting: each step has operators of its own."""


def loop(step, xs, carry, out_like, backwards: bool = False):
    """`step(x_t, carry) -> carry, out_t` over the leading axis of xs; the last carry, and the outs stacked.

    out_like: arrays of the shapes and dtypes of an out.
    """
    length = tf.nest.flatten(xs)[0].shape[0]
    if length is not None and 0 < length <= MOST_UNROLLED:
        return unrolled(step, xs, carry, out_like, backwards)
    if length is None or length < 3 * BLOCK:
        return while_loop(step, xs, carry, out_like, backwards)
    rest = length % BLOCK
    cuts = [(0, length - rest), *([(length - rest, length)] if rest else [])]
    outs = []
    for begin, end in reversed(cuts) if backwards else cuts:
        piece = tf.nest.map_structure(lambda x, b=begin, e=end: x[b:e], xs)
        run = blocked_loop if begin == 0 else unrolled
        carry, out = run(step, piece, carry, out_like, backwards)
        outs.append(out)
    return carry, joined(outs[::-1] if backwards else outs)


def blocked_loop(step, xs, carry, out_like, backwards: bool):
    """`loop`, for a multiple of `BLOCK` steps."""
    count = tf.nest.flatten(xs)[0].shape[0] // BLOCK
    blocks = tf.nest.map_structure(lambda x: tf.reshape(x, [count, BLOCK, *sizes(x)[1:]]), xs)
    like = tf.nest.map_structure(lambda o: tf.broadcast_to(o, [BLOCK, *sizes(o)]), out_like)
    carry, outs = while_loop(
        lambda block, carry: unrolled(step, block, carry, out_like, backwards), blocks, carry, like, backwards
    )
    return carry, tf.nest.map_structure(lambda o: tf.reshape(o, [count * BLOCK, *sizes(o)[2:]]), outs)


def unrolled(step, xs, carry, out_like, backwards: bool):
    """`loop`, each step with operators of its own."""
    each = [tf.unstack(x) for x in tf.nest.flatten(xs)]
    times = range(len(each[0]))
    outs = {}
    for t in reversed(times) if backwards else times:
        carry, outs[t] = step(tf.nest.pack_sequence_as(xs, [x[t] for x in each]), carry)
    return carry, tf.nest.map_structure(lambda *o: tf.stack(o), *(outs[t] for t in times))


def joined(pieces):
    return tf.nest.map_structure(lambda *o: tf.concat(o, 0), *pieces) if len(pieces) > 1 else pieces[0]


def sizes(x):
    """Its shape, with numbers where they are known."""
    dynamic = tf.shape(x)
    return [dynamic[i] if size is None else size for i, size in enumerate(x.shape)]


def while_loop(step, xs, carry, out_like, backwards: bool):
    """`loop`, as a while loop of one step a turn."""
    length = tf.shape(tf.nest.flatten(xs)[0])[0]
    static_length = tf.nest.flatten(xs)[0].shape[0]
    sources = tf.nest.map_structure(lambda x: tf.TensorArray(x.dtype, length).unstack(x), xs)
    sinks = [tf.TensorArray(o.dtype, length, element_shape=any_batch(o.shape)) for o in tf.nest.flatten(out_like)]

    def body(t, carry, sinks):
        time = length - 1 - t if backwards else t
        now = tf.nest.map_structure(lambda source: source.read(time), sources)
        carry, out = step(now, carry)
        return t + 1, carry, [sink.write(time, o) for sink, o in zip(sinks, tf.nest.flatten(out), strict=True)]

    _, carry, sinks = tf.while_loop(
        lambda t, *_: t < length,
        body,
        (tf.constant(0), carry, sinks),
        shape_invariants=(
            tf.TensorShape([]),
            [any_batch(c.shape) for c in carry],
            [tf.TensorShape(None) for _ in sinks],
        ),
        maximum_iterations=length,
    )
    outs = [tf.ensure_shape(sink.stack(), (static_length, *sink.element_shape)) for sink in sinks]
    return carry, tf.nest.pack_sequence_as(out_like, outs)


def any_batch(shape):
    """The shape with every axis but the last free: the batch, and the steps of a block, may differ from the first's."""
    return tf.TensorShape([*[None] * (len(shape) - 1), shape[-1]])


def first_of(xs):
    return tf.nest.map_structure(lambda x: x[0], xs)

"""The hoisted loop in TensorFlow: a while loop, and a second one for its gradient."""

from __future__ import annotations

import tensorflow as tf


def run(recurrence, xs, carry, consts, weights, differentiable: bool):
    """The carries after each step, stacked [T, B, ...].

    When differentiable, the gradient is ours: the loop back carries only what a step hands to the step before it,
    and the gradients of the weights come from all steps at once, one product each, after the loop.
    """
    arguments = tf.nest.map_structure(tf.convert_to_tensor, (xs, carry, consts, weights))  # Keras may pass variables
    if not differentiable:
        return forward(recurrence, *arguments)

    @tf.custom_gradient
    def solve(*flat):
        arrays = tf.nest.pack_sequence_as(arguments, list(flat))
        stacks = forward(recurrence, *arrays)

        def gradient(*upstream):
            known = [*arrays, stacks, list(upstream)]
            return tf.nest.flatten(backward(recurrence, *known))

        return stacks, gradient

    return list(solve(*tf.nest.flatten(arguments)))


def forward(recurrence, xs, carry, consts, weights):
    def step(x, carry):
        r = recurrence.recur(recurrence.query(x, carry, consts), weights)
        carry = recurrence.advance(x, r, carry, consts, weights)
        return carry, carry

    return loop(step, xs, carry, out_like=carry)[1]


def backward(recurrence, xs, carry, consts, weights, stacks, upstream):
    """The gradients of all four arguments, in their structure; None for masks."""
    before = [tf.concat([first[None], stack[:-1]], axis=0) for first, stack in zip(carry, stacks, strict=True)]
    r = recurrence.recur(recurrence.query(xs, before, consts), weights)

    def step(now, adjoint):
        adjoint = add(adjoint, now["upstream"])
        dz, dr, through_gates = pull(
            lambda z, r, carry: recurrence.advance({**now["x"], "z": z}, r, carry, consts, weights),
            (now["x"]["z"], now["r"], now["before"]),
            adjoint,
        )
        (through_product,) = pull(
            lambda carry: recurrence.recur(recurrence.query(now["x"], carry, consts), weights), (now["before"],), dr
        )
        return add(through_gates, through_product), {"z": dz, "r": dr, "adjoint": adjoint}

    steps = {"x": xs, "r": r, "before": before, "upstream": upstream}
    one = {"z": first_of(xs["z"]), "r": r[0], "adjoint": carry}
    d_carry, d = loop(step, steps, [tf.zeros_like(c) for c in carry], out_like=one, backwards=True)

    d_consts, d_weights = pull(
        lambda k, w: recurrence.recur(recurrence.query(xs, before, k), w), (consts, weights), d["r"]
    )
    if recurrence.gates_read_weights or "reset" in xs:
        more = pull(lambda k, w: recurrence.advance(xs, r, before, k, w), (consts, weights), d["adjoint"])
        d_consts, d_weights = add(d_consts, more[0]), add(d_weights, more[1])
    return {name: d["z"] if name == "z" else None for name in xs}, d_carry, d_consts, d_weights


def pull(function, arguments, upstream):
    """The vector-Jacobian product of `function` at `arguments`, in their structure."""
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        value = function(*arguments)
    return tape.gradient(value, arguments, output_gradients=upstream, unconnected_gradients="zero")


def add(a, b):
    return tf.nest.map_structure(tf.add, a, b)


def first_of(xs):
    return tf.nest.map_structure(lambda x: x[0], xs)


def loop(step, xs, carry, out_like, backwards: bool = False):
    """`step(x_t, carry) -> carry, out_t` over the leading axis of xs; the last carry, and the outs stacked."""
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
    """A shape whose batch axis may differ from what was known when the loop began."""
    return tf.TensorShape([None, *shape[1:]])

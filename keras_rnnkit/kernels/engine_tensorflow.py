"""The hoisted loop in TensorFlow: a while loop, and a second one for its gradient."""

from __future__ import annotations

import tensorflow as tf

from keras_rnnkit.ops import keras as kops

BLOCK = 5


def run(recurrence, xs, carry, consts, weights, differentiable: bool):
    """The carries after each step, stacked [T, B, ...].

    When differentiable, the gradient is ours: the loop back carries only what a step hands to the step before it,
    and the gradients of the weights come from all steps at once, one product each, after the loop.
    """
    arguments = tf.nest.map_structure(tf.convert_to_tensor, (xs, carry, consts, weights))  # Keras may pass variables
    if not differentiable:
        return forward(recurrence, *arguments)[0]

    @tf.custom_gradient
    def solve(*flat):
        arrays = tf.nest.pack_sequence_as(arguments, list(flat))
        xs, carry, consts, weights = arrays
        stacks, products = forward(recurrence, xs, carry, consts, weights, keep=True)

        def gradient(*upstream):
            known = [*arrays, stacks, products, list(upstream)]
            return tf.nest.flatten(backward(recurrence, *known))

        return stacks, gradient

    return list(solve(*tf.nest.flatten(arguments)))


def forward(recurrence, xs, carry, consts, weights, keep: bool = False):
    """The carries after each step, stacked, and where they are kept for the way back the products in them."""

    def product(x, carry):
        return recurrence.recur(recurrence.query(x, carry, consts), weights)

    def step(x, carry):
        r = product(x, carry)
        carry = recurrence.advance(x, r, carry, consts, weights)
        return carry, (carry, [r] if keep else [])

    kept = [product(first_of(xs), carry)] if keep else []
    stacks, products = loop(step, xs, carry, out_like=(carry, kept))[1]
    return stacks, products[0] if keep else None


def backward(recurrence, xs, carry, consts, weights, stacks, r, upstream):
    """The gradients of all four arguments, in their structure; None for masks."""
    before = [tf.concat([first[None], stack[:-1]], axis=0) for first, stack in zip(carry, stacks, strict=True)]
    transposed = TransposedWeights(weights)

    def step(now, adjoint):
        adjoint = add(adjoint, now["upstream"])
        dz, dr, through_gates = vjp(
            lambda z, r, carry: recurrence.advance({**now["x"], "z": z}, r, carry, consts, weights, transposed),
            (now["x"]["z"], now["r"], now["before"]),
            adjoint,
        )
        (through_product,) = vjp(
            lambda carry: recurrence.recur(recurrence.query(now["x"], carry, consts), weights, transposed),
            (now["before"],),
            dr,
        )
        return add(through_gates, through_product), {"z": dz, "r": dr, "adjoint": adjoint}

    steps = {"x": xs, "r": r, "before": before, "upstream": upstream}
    one = {"z": first_of(xs["z"]), "r": r[0], "adjoint": carry}
    d_carry, d = loop(step, steps, [tf.zeros_like(c) for c in carry], out_like=one, backwards=True)

    d_consts, d_weights = vjp(
        lambda k, w: recurrence.recur(recurrence.query(xs, before, k), w), (consts, weights), d["r"]
    )
    if recurrence.gates_read_weights or "reset" in xs:
        more = vjp(lambda k, w: recurrence.advance(xs, r, before, k, w), (consts, weights), d["adjoint"])
        d_consts, d_weights = add(d_consts, more[0]), add(d_weights, more[1])
    return {name: d["z"] if name == "z" else None for name in xs}, d_carry, d_consts, d_weights


class TransposedWeights:
    """`ops.keras`, but matrices among the weights are multiplied by way of their transposes, made once before the loop.

    Of a product the loop back runs only the gradient, and that multiplies by the matrix transposed: in Eigen the one
    product that is slow for few rows (0.25 against 0.15 ms for 50 rows of 512 to 128).
    """

    def __init__(self, weights):
        self.matrices = {id(w): tf.transpose(w) for w in weights if w.shape.rank == 2}

    def matmul(self, a, b):
        return tf.matmul(a, self.matrices[id(b)], transpose_b=True) if id(b) in self.matrices else kops.matmul(a, b)

    def __getattr__(self, name):
        return getattr(kops, name)


def vjp(function, arguments, upstream):
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
    """`step(x_t, carry) -> carry, out_t` over the leading axis of xs; the last carry, and the outs stacked.

    Where the length is known and not short, a turn of the while loop takes `BLOCK` steps: a turn costs TensorFlow as
    much as the arithmetic of a step of a small cell.
    """
    length = tf.nest.flatten(xs)[0].shape[0]
    if length is None or length < 3 * BLOCK:
        return while_loop(step, xs, carry, out_like, backwards)
    rest = length % BLOCK
    cuts = [(0, length - rest), *([(length - rest, length)] if rest else [])]
    outs = []
    for begin, end in reversed(cuts) if backwards else cuts:
        part = tf.nest.map_structure(lambda x, b=begin, e=end: x[b:e], xs)
        run = blocked_loop if begin == 0 else unrolled
        carry, out = run(step, part, carry, out_like, backwards)
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


def joined(parts):
    return tf.nest.map_structure(lambda *o: tf.concat(o, 0), *parts) if len(parts) > 1 else parts[0]


def sizes(x):
    """Its shape, each size a number where that is known."""
    known = tf.shape(x)
    return [known[i] if size is None else size for i, size in enumerate(x.shape)]


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
    """A shape whose batch axis, and that of a block's steps, may differ from what was known when the loop began."""
    return tf.TensorShape([*[None] * (len(shape) - 1), shape[-1]])

"""Loops over time that XLA compiles, one forward and one back.

A loop of TensorFlow's own operations spends as long on starting each small operation as on its arithmetic; compiled,
a step is a product and one pass over its gates. Compiling takes some tenths of a second for each length and batch
size, so the functions are kept, and layers whose equation and shapes are the same share them.
"""

from __future__ import annotations

import tensorflow as tf

from keras_rnnkit.ops import keras as kops


class CompiledLoops:
    """The two loops of a step. Both run `length` steps of arrays that may be longer."""

    def __init__(self, step):
        self.step, self.recurrence = step, step.recurrence
        self.forward = tf.function(self._forward, jit_compile=True, autograph=False)
        self.backward = tf.function(self._backward, jit_compile=True, autograph=False)

    def _forward(self, xs, carry, consts, weights, length):
        """The carries after each step, which stay as they are behind `length`, and the saved arrays."""

        def step(t, carry):
            new, saved = self.step.forward(at(xs, t), carry, consts, weights)
            return new, (new, saved)

        last, (stacks, saved) = loop(step, size_of(xs), length, carry)
        return [held(stack, end, length) for stack, end in zip(stacks, last, strict=True)], saved

    def _backward(self, xs, carry, stacks, saved, upstream, consts, weights, transposed, length):
        """The gradient of the first carry, and of z and r at each step, by name."""
        products = TransposedProducts(weights, transposed)

        def step(i, adjoint):
            t = length - 1 - i
            before = [tf.where(t > 0, s[tf.maximum(t - 1, 0)], c) for s, c in zip(stacks, carry, strict=True)]
            adjoint = [a + u[t] for a, u in zip(adjoint, upstream, strict=True)]
            return self.step.backward(
                at(xs, t), at(saved, t), before, at(stacks, t), adjoint, consts, weights, products
            )

        return loop(step, size_of(upstream), length, sum_behind(upstream, length), backwards=True)


def loop(step, capacity, length, carry, backwards: bool = False):
    """`step(t, carry) -> carry, out` for t = 0 ... length - 1; the last carry and the outs, stacked in order of time.

    capacity: how many outs the stacks hold. Those behind `length` are zeros. A loop back writes its first out last.
    """
    _, like = step(0, carry)  # for the shapes; XLA drops it
    sinks = [tf.TensorArray(o.dtype, capacity, element_shape=o.shape) for o in tf.nest.flatten(like)]

    def body(t, carry, sinks):
        new, out = step(t, carry)
        time = length - 1 - t if backwards else t
        return t + 1, list(new), [s.write(time, o) for s, o in zip(sinks, tf.nest.flatten(out), strict=True)]

    _, carry, sinks = tf.while_loop(
        lambda t, *_: t < length, body, (tf.constant(0), list(carry), sinks), maximum_iterations=capacity
    )
    return carry, tf.nest.pack_sequence_as(like, [sink.stack() for sink in sinks])


def at(arrays, t):
    return tf.nest.map_structure(lambda x: x[t], arrays)


def size_of(arrays):
    first = tf.nest.flatten(arrays)[0]
    return tf.shape(first)[0] if first.shape[0] is None else first.shape[0]


def behind_length(x, length):
    """1 for the steps of x [T, ...] behind `length`, 0 for those before it."""
    times = tf.reshape(tf.range(tf.shape(x)[0]), [-1, *[1] * (x.shape.rank - 1)])
    return tf.cast(times >= length, x.dtype)


def sum_behind(upstream, length):
    """The sum of the gradients of the steps behind `length`, all of which are gradients of the last carry."""
    if isinstance(length, int):
        return [tf.zeros_like(u[0]) for u in upstream]
    return [tf.reduce_sum(u * behind_length(u, length), axis=0) for u in upstream]


def held(stack, last, length):
    """The stack with the last array again at all steps behind `length`."""
    if isinstance(length, int):
        return stack
    return tf.where(behind_length(stack, length) > 0, last[None], stack)


class TransposedProducts:
    """`ops.keras`, but products with a matrix among the weights go by way of its transpose, made once before the loop.

    Of a product the loop back runs only the gradient, and that multiplies by the matrix transposed: in Eigen the one
    product that is slow for few rows (0.25 against 0.15 ms for 50 rows of 512 to 128).
    """

    def __init__(self, weights, transposed):
        pairs = zip(weights, transposed, strict=False)  # there are no transposes for a single row
        self.matrices = {id(w): t for w, t in pairs if w.shape.rank == 2}

    def matmul(self, a, b):
        return tf.matmul(a, self.matrices[id(b)], transpose_b=True) if id(b) in self.matrices else kops.matmul(a, b)

    def __getattr__(self, name):
        return getattr(kops, name)


def transposes(weights, h):
    """The weights with their matrices transposed, for a loop back over states h [B, U]; nothing for a single row.

    With one row a product takes as long with a matrix as with its transpose, and transposing the matrix of an LSTM
    of 256 units takes as long as 20 steps.
    """
    return [] if h.shape[0] == 1 else [tf.transpose(w) if w.shape.rank == 2 else w for w in weights]

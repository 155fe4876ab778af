"""Compiled loops for cells without a written-out gradient: TensorFlow's tape derives each step back.

Three things keep that cheap. Products with a weight are kept on the way forward and not computed again. Their gradients
leave the loop, so that the gradient of the weight is one product over all steps. What other weights get, such as gains
and biases, is summed inside the loop, where the arrays of the step are at hand.
"""

from __future__ import annotations

import tensorflow as tf

from keras_rnnkit.kernels.compiled_loops import at, held, loop, size_of, sum_behind
from keras_rnnkit.ops import keras as kops


class TapedLoops:
    """The two loops of a recurrence. Both run `length` steps of arrays that may be longer."""

    def __init__(self, recurrence):
        self.recurrence = recurrence
        self.order: list[int] = []  # of each product, the place of its weight; known once a step was traced
        self.forward = tf.function(self._forward, jit_compile=True, autograph=False)
        self.backward = tf.function(self._backward, jit_compile=True, autograph=False)

    def _forward(self, xs, carry, consts, weights, length):
        """The carries after each step, and for each product with a weight its left factor and its value."""

        def step(t, carry):
            products = KeptProducts(weights)
            new = self.step(at(xs, t), carry, consts, weights, products)
            self.order = products.order
            return new, (new, products.saved)

        last, (stacks, saved) = loop(step, size_of(xs), length, carry)
        return [held(stack, end, length) for stack, end in zip(stacks, last, strict=True)], saved

    def step(self, x, carry, consts, weights, ops):
        rule = self.recurrence
        r = rule.recur(rule.query(x, carry, consts), weights, ops)
        return rule.advance(x, r, carry, consts, weights, ops)

    def _backward(self, xs, carry, stacks, saved, upstream, consts, weights, transposed, length):
        """The gradients of the first carry, of z, of each kept product, and of consts and weights by other ways."""

        def step(i, state):
            adjoint, d_consts, d_weights = state
            t = length - 1 - i
            before = [tf.where(t > 0, s[tf.maximum(t - 1, 0)], c) for s, c in zip(stacks, carry, strict=True)]
            adjoint = [a + u[t] for a, u in zip(adjoint, upstream, strict=True)]
            products = RecalledProducts(weights, transposed, at(saved, t))
            x = at(xs, t)
            sources = [x["z"], before, consts, weights]
            with tf.GradientTape() as tape:
                tape.watch(sources)
                after = self.step(x, before, consts, weights, products)
            d_z, d_before, *d_here = tape.gradient(after, sources, adjoint, unconnected_gradients="zero")
            sums = tf.nest.map_structure(tf.add, [d_consts, d_weights], d_here)
            return [list(d_before), *sums], (d_z, products.gradients())

        zeros = tf.nest.map_structure(tf.zeros_like, [consts, weights])
        return loop(step, size_of(upstream), length, [sum_behind(upstream, length), *zeros], backwards=True)


class Products:
    """`ops.keras`, with an eye on products with a matrix among the weights."""

    def __init__(self, weights):
        self.positions = {id(w): i for i, w in enumerate(weights) if w.shape.rank == 2}

    def __getattr__(self, name):
        return getattr(kops, name)


class KeptProducts(Products):
    """Keeps each product: its left factor and its value."""

    def __init__(self, weights):
        super().__init__(weights)
        self.saved: list[tuple] = []
        self.order: list[int] = []

    def matmul(self, a, b):
        value = kops.matmul(a, b)
        if id(b) in self.positions:
            self.saved.append((a, value))
            self.order.append(self.positions[id(b)])
        return value


class RecalledProducts(Products):
    """Returns the kept products in their order, and collects their gradients."""

    def __init__(self, weights, transposed, saved):
        super().__init__(weights)
        self.transposed, self.saved = transposed, saved
        self.product_gradients: list = []

    def matmul(self, a, b):
        if id(b) not in self.positions:
            return kops.matmul(a, b)
        index = len(self.product_gradients)
        matrix = self.transposed[self.positions[id(b)]] if self.transposed else None
        self.product_gradients.append(None)

        @tf.custom_gradient
        def recalled(a):
            def gradient(d):
                self.product_gradients[index] = d
                return tf.matmul(d, b, transpose_b=True) if matrix is None else tf.matmul(d, matrix)

            return tf.identity(self.saved[index][1]), gradient

        return recalled(a)

    def gradients(self):
        return [
            tf.zeros_like(v) if d is None else d for d, (_, v) in zip(self.product_gradients, self.saved, strict=True)
        ]

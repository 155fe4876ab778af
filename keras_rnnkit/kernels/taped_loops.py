"""Compiled loops for cells without a written-out gradient: TensorFlow's tape derives each step back.

Four things keep that cheap. Products with a weight are kept on the way forward and not computed again. Their gradients
leave the loop, so that the gradient of the weight is one product over all steps. Of arrays that are the same, such as
the left factor of a product and a state, or the gradients of both sides of a sum, the loops write one. What other
weights get, such as gains and biases, is summed inside the loop, where the arrays of the step are at hand.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from keras_rnnkit.kernels.compiled_loops import at, held, loop, size_of, sum_behind
from keras_rnnkit.ops import keras as kops


class KeptProduct(NamedTuple):
    """Where the factors of a product come from: the place of its weight, and the place of the carry on its left."""

    weight: int
    carry: int | None


class TapedLoops:
    """The two loops of a recurrence. Both run `length` steps of arrays that may be longer."""

    def __init__(self, recurrence):
        self.recurrence = recurrence
        self.products: list[KeptProduct] = []  # in the order in which a step takes them; known once a step was traced
        self.forward = tf.function(self._forward, jit_compile=True, autograph=False)
        self.backward = tf.function(self._backward, jit_compile=True, autograph=False)

    def _forward(self, xs, carry, consts, weights, length):
        """The carries after each step, and the products with a weight: their values, and by their number the left
        factors that are none of the carries."""

        def step(t, carry):
            products = KeptProducts(weights, carry)
            new = self.step(at(xs, t), carry, consts, weights, products)
            self.products = products.kept
            return new, (new, (products.values, products.factors))

        last, (stacks, saved) = loop(step, size_of(xs), length, carry)
        return [held(stack, end, length) for stack, end in zip(stacks, last, strict=True)], saved

    def step(self, x, carry, consts, weights, ops):
        rule = self.recurrence
        r = rule.recur(rule.query(x, carry, consts), weights, ops)
        return rule.advance(x, r, carry, consts, weights, ops)

    def _backward(self, xs, carry, stacks, values, upstream, consts, weights, transposed, length):
        """The gradients of the first carry, of consts and weights by other ways than the kept products, of z, and by
        their number of the products whose gradient is another one than that of z."""

        def step(i, state):
            adjoint, d_consts, d_weights = state
            t = length - 1 - i
            before = [tf.where(t > 0, s[tf.maximum(t - 1, 0)], c) for s, c in zip(stacks, carry, strict=True)]
            adjoint = [a + u[t] for a, u in zip(adjoint, upstream, strict=True)]
            products = RecalledProducts(weights, transposed, at(values, t))
            x = at(xs, t)
            sources = [x["z"], before, consts, weights]
            with tf.GradientTape() as tape:
                tape.watch(sources)
                after = self.step(x, before, consts, weights, products)
            d_z, d_before, *d_here = tape.gradient(after, sources, adjoint, unconnected_gradients="zero")
            sums = tf.nest.map_structure(tf.add, [d_consts, d_weights], d_here)
            return [list(d_before), *sums], (d_z, products.gradients_except(d_z))

        zeros = tf.nest.map_structure(tf.zeros_like, [consts, weights])
        return loop(step, size_of(upstream), length, [sum_behind(upstream, length), *zeros], backwards=True)


class Products:
    """`ops.keras`, with an eye on products with a matrix among the weights."""

    def __init__(self, weights):
        self.positions = {id(w): i for i, w in enumerate(weights) if w.shape.rank == 2}

    def __getattr__(self, name):
        return getattr(kops, name)


class KeptProducts(Products):
    """Keeps the value of each product, and its left factor unless it is a carry, which is kept anyway."""

    def __init__(self, weights, carry):
        super().__init__(weights)
        self.carry_positions = {id(c): i for i, c in enumerate(carry)}
        self.kept: list[KeptProduct] = []
        self.values: list = []
        self.factors: dict[int, Any] = {}

    def matmul(self, a, b):
        value = kops.matmul(a, b)
        if id(b) in self.positions:
            product = KeptProduct(self.positions[id(b)], self.carry_positions.get(id(a)))
            if product.carry is None:
                self.factors[len(self.kept)] = a
            self.kept.append(product)
            self.values.append(value)
        return value


class RecalledProducts(Products):
    """Returns the kept products in their order, and collects their gradients."""

    def __init__(self, weights, transposed, values):
        super().__init__(weights)
        self.transposed, self.values = transposed, values
        self.gradients: list = []

    def matmul(self, a, b):
        if id(b) not in self.positions:
            return kops.matmul(a, b)
        index = len(self.gradients)
        matrix = self.transposed[self.positions[id(b)]] if self.transposed else None
        self.gradients.append(None)

        @tf.custom_gradient
        def recalled(a):
            def gradient(d):
                self.gradients[index] = d
                return tf.matmul(d, b, transpose_b=True) if matrix is None else tf.matmul(d, matrix)

            return tf.identity(self.values[index]), gradient

        return recalled(a)

    def gradients_except(self, d_z):
        """The gradients of the products by their number, without those that are d_z itself."""
        pairs = zip(self.gradients, self.values, strict=True)
        return {i: tf.zeros_like(v) if d is None else d for i, (d, v) in enumerate(pairs) if d is not d_z}

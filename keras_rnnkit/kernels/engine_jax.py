"""The hoisted loop in JAX: a scan, with a gradient arranged for large products."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from keras_rnnkit.kernels import loop_choice
from keras_rnnkit.kernels.steps import WrittenStep, add, step_of
from keras_rnnkit.ops import keras as kops


def run(recurrence, inputs, carry, consts, weights, differentiable: bool):
    """The carries after each step, stacked [T, B, ...].

    inputs: the `LoopInputs` of the call.
    """
    if not differentiable:
        return forward(recurrence, inputs.first(), carry, consts, weights)[0]
    if isinstance(step_of(recurrence, vjp), WrittenStep):
        return whole_or_in_blocks(recurrence, inputs, carry, consts, weights)
    if inputs.batch <= loop_choice.FEW_ROWS_IN_JAX:
        return derived_loop(recurrence, inputs.first(), carry, consts, weights)
    return step_by_step(recurrence, inputs, carry, consts, weights)


def step_by_step(recurrence, inputs, carry, consts, weights):
    """What stock Keras does: each step projects its own input, and JAX differentiates the scan."""
    steps = inputs.first() if projects_all_steps(inputs) else inputs.steps

    def step(carry, now):
        single = inputs.of(jax.tree.map(lambda x: x[None], now), carry)
        x = jax.tree.map(lambda x: x[0], single.first())
        r = recurrence.recur(recurrence.query(x, carry, consts), weights)
        carry = recurrence.advance(x, r, carry, consts, weights)
        return carry, carry

    return jax.lax.scan(step, carry, steps)[1]


def projects_all_steps(inputs) -> bool:
    """Whether the inputs must be projected at once: they are already, or noise or statistics belong to all steps."""
    cell = inputs.recurrence.cell
    return "z" in inputs.steps or cell.adds_noise or cell.needs_all_steps


def whole_or_in_blocks(recurrence, inputs, carry, consts, weights):
    """The loop of a cell whose backward formula is written out, in one piece or in blocks of steps.

    The projected inputs of a long sequence are the largest array of a training step. Blocks project their own one
    after the other, and each adds its part to the gradients of the weights.
    """
    count = 1 if projects_all_steps(inputs) else block_count(inputs)
    if count == 1:
        return written_loop(recurrence, inputs.first(), carry, consts, weights)

    def block(carry, steps):
        stacks = written_loop(recurrence, inputs.of(steps, carry).first(), carry, consts, weights)
        return [stack[-1] for stack in stacks], stacks

    size = inputs.length // count
    blocks = jax.tree.map(lambda x: x[: count * size].reshape(count, size, *x.shape[1:]), inputs.steps)
    carry, stacks = jax.lax.scan(block, carry, blocks)
    stacks = [stack.reshape(count * size, *stack.shape[2:]) for stack in stacks]
    if count * size == inputs.length:
        return stacks
    rest = block(carry, jax.tree.map(lambda x: x[count * size :], inputs.steps))[1]
    return [jnp.concatenate(pieces) for pieces in zip(stacks, rest, strict=True)]


def block_count(inputs) -> int:
    """The number of blocks of steps in which a sequence is run."""
    arrays = jax.tree.leaves(jax.eval_shape(lambda: inputs.first()["z"]))
    size = sum(math.prod(a.shape) * a.dtype.itemsize for a in arrays)
    if size <= loop_choice.LARGEST_INPUTS_IN_JAX:
        return 1
    return min(-(-size // loop_choice.BLOCK_INPUTS_IN_JAX), inputs.length)


def written_loop(recurrence, xs, carry, consts, weights):
    """The carries after each step, with a gradient by a second scan, which runs the written-out formula.

    Its loop carries only what a step hands to the step before it. The gradients of the weights come from all steps at
    once, one product each, after the loop.
    """
    names = list(xs)

    @jax.custom_vjp
    def run(*arguments):
        return forward(recurrence, *arguments)[0]

    def run_forward(xs, *arguments):
        stacks, saved = forward(recurrence, xs, *arguments)
        return stacks, (step_of(recurrence, vjp).read_back(xs), *arguments, stacks, saved)

    def run_backward(residual, upstream):
        everything: Any = (*residual, upstream)
        d_z, *others = backward(recurrence, *everything)
        return {name: d_z if name == "z" else None for name in names}, *others

    run.defvjp(run_forward, run_backward)
    return run(xs, carry, consts, weights)


def forward(recurrence, xs, carry, consts, weights):
    """The carries after each step, and the arrays that the way back needs; JAX drops these where nothing asks."""
    rule = step_of(recurrence, vjp)

    def step(carry, x):
        carry, saved = rule.forward(x, carry, consts, weights)
        return carry, (carry, saved)

    return jax.lax.scan(step, carry, xs)[1]


def backward(recurrence, xs, carry, consts, weights, stacks, saved, upstream):
    """The gradients of z, carry, consts and weights."""
    rule = step_of(recurrence, vjp)
    before = shifted(stacks, carry)

    def step(adjoint, now):
        adjoint = add(adjoint, now["upstream"])
        arrays = (now["x"], now["saved"], now["before"], now["after"], adjoint)
        return rule.backward(*arrays, consts, weights)

    steps = {"x": xs, "saved": saved, "before": before, "after": stacks, "upstream": upstream}
    d_carry, d = jax.lax.scan(step, [jnp.zeros_like(c) for c in carry], steps, reverse=True)
    d_consts, d_weights = rule.after_loop(xs, saved, before, d, consts, weights)
    return d["z"], d_carry, d_consts, d_weights


def derived_loop(recurrence, xs, carry, consts, weights):
    """The carries after each step. JAX differentiates the scan, except by matrices among the weights.

    Their gradients are one product each over all steps, where JAX would add a product at every step.
    """
    z, flags = xs["z"], {name: array for name, array in xs.items() if name != "z"}
    shapes, places = products_of_step(recurrence, xs, carry, consts, weights)
    length = jax.tree.leaves(xs)[0].shape[0]

    def scan(z, zeros, flags, carry, consts, weights):
        def step(carry, now):
            x, zeros = now
            products = ProductsWithZeros(weights, zeros)
            r = recurrence.recur(recurrence.query(x, carry, consts), weights, products)
            carry = recurrence.advance(x, r, carry, consts, weights, products)
            return carry, (carry, products.factors)

        return jax.lax.scan(step, carry, ({"z": z, **flags}, zeros))[1]

    def all_zeros():
        return [jnp.zeros((length, *a.shape), a.dtype) for a in shapes]

    @jax.custom_vjp
    def run(z, *arguments):
        return scan(z, all_zeros(), *arguments)[0]

    def run_forward(z, flags, *arguments):
        def of_reals(z, zeros, *arguments):
            return scan(z, zeros, flags, *arguments)

        stacks, pullback, factors = jax.vjp(of_reals, z, all_zeros(), *arguments, has_aux=True)
        return stacks, (pullback, factors)

    def run_backward(residual, upstream):
        pullback, factors = residual
        d_z, d_products, d_carry, d_consts, d_weights = pullback(upstream)
        d_weights = list(d_weights)
        for place, factor, d in zip(places, factors, d_products, strict=True):
            d_weights[place] += jnp.matmul(rows(factor).T, rows(d))
        return d_z, dict.fromkeys(flags), d_carry, d_consts, d_weights

    run.defvjp(run_forward, run_backward)
    return run(z, flags, carry, consts, weights)


class ProductsWithZeros:
    """`ops.keras`, but to each product with a matrix among the weights a zero is added.

    The gradient of the zero is that of the product. The product itself has no gradient by its matrix.
    """

    def __init__(self, weights, zeros=None):
        self.places = {id(w): i for i, w in enumerate(weights) if w.ndim == 2}
        self.zeros = zeros
        self.factors: list[Any] = []
        self.values: list[Any] = []
        self.order: list[int] = []

    def matmul(self, a, b):
        if id(b) not in self.places:
            return kops.matmul(a, b)
        value = kops.matmul(a, jax.lax.stop_gradient(b))
        if self.zeros is not None:
            value = with_zero(value, self.zeros[len(self.values)])
        self.factors.append(a)
        self.values.append(value)
        self.order.append(self.places[id(b)])
        return value

    def __getattr__(self, name):
        return getattr(kops, name)


@jax.custom_vjp
def with_zero(value, zero):
    """The sum of a value and a zero, which is not even read."""
    return value


with_zero.defvjp(lambda value, zero: (value, None), lambda nothing, d: (d, d))


def products_of_step(recurrence, xs, carry, consts, weights):
    """The shapes of the products of a step with matrices among the weights, and the places of these among them."""
    order: list[int] = []

    def step(x, carry, consts, weights):
        products = ProductsWithZeros(weights)
        r = recurrence.recur(recurrence.query(x, carry, consts), weights, products)
        recurrence.advance(x, r, carry, consts, weights, products)
        order.extend(products.order)
        return products.values

    shapes = jax.eval_shape(step, jax.tree.map(lambda x: x[0], xs), carry, consts, weights)
    return shapes, order


def rows(x):
    return x.reshape(-1, x.shape[-1])


def shifted(stacks, carry):
    """The carries before each step, from those after each step and the first."""
    return [jnp.concatenate([first[None], stack[:-1]]) for first, stack in zip(carry, stacks, strict=True)]


def vjp(function, arguments, upstream):
    """The vector-Jacobian product of `function` at `arguments`, in their structure."""
    return jax.vjp(function, *arguments)[1](upstream)

"""The hoisted loop in JAX: a scan, and a second one for its gradient."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from keras_rnnkit.kernels.steps import add, step_of


def run(recurrence, inputs, carry, consts, weights, differentiable: bool):
    """The carries after each step, stacked [T, B, ...]. The gradient is arranged as in `engine_tensorflow`."""
    xs = inputs.first()
    if not differentiable:
        return forward(recurrence, xs, carry, consts, weights)[0]

    @jax.custom_vjp
    def solve(*arguments):
        return forward(recurrence, *arguments)[0]

    def solve_forward(*arguments):
        stacks, saved = forward(recurrence, *arguments)
        return stacks, (*arguments, stacks, saved)

    def solve_backward(residual, upstream):
        everything: Any = (*residual, upstream)
        return backward(recurrence, *everything)

    solve.defvjp(solve_forward, solve_backward)
    return solve(xs, carry, consts, weights)


def forward(recurrence, xs, carry, consts, weights):
    """The carries after each step, and the arrays that the way back needs; JAX drops these where nothing asks."""
    rule = step_of(recurrence, vjp)

    def step(carry, x):
        carry, saved = rule.forward(x, carry, consts, weights)
        return carry, (carry, saved)

    return jax.lax.scan(step, carry, xs)[1]


def backward(recurrence, xs, carry, consts, weights, stacks, saved, upstream):
    """The gradients of all four arguments, in their structure; None for masks."""
    rule = step_of(recurrence, vjp)
    before = [jnp.concatenate([first[None], stack[:-1]]) for first, stack in zip(carry, stacks, strict=True)]

    def step(adjoint, now):
        adjoint = add(adjoint, now["upstream"])
        arrays = (now["x"], now["saved"], now["before"], now["after"], adjoint)
        return rule.backward(*arrays, consts, weights)

    steps = {"x": rule.read_back(xs), "saved": saved, "before": before, "after": stacks, "upstream": upstream}
    d_carry, d = jax.lax.scan(step, [jnp.zeros_like(c) for c in carry], steps, reverse=True)
    d_consts, d_weights = rule.after_loop(xs, saved, before, d, consts, weights)
    return {name: d["z"] if name == "z" else None for name in xs}, d_carry, d_consts, d_weights


def vjp(function, arguments, upstream):
    """The vector-Jacobian product of `function` at `arguments`, in their structure."""
    return jax.vjp(function, *arguments)[1](upstream)

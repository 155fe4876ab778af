"""The hoisted loop in JAX: a scan, and a second one for its gradient."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def run(recurrence, xs, carry, consts, weights, differentiable: bool):
    """The carries after each step, stacked [T, B, ...]. The gradient is arranged as in `engine_tensorflow`."""
    if not differentiable:
        return forward(recurrence, xs, carry, consts, weights)

    @jax.custom_vjp
    def solve(*arguments):
        return forward(recurrence, *arguments)

    def solve_forward(*arguments):
        stacks = forward(recurrence, *arguments)
        return stacks, (*arguments, stacks)

    def solve_backward(residual, upstream):
        known = [*residual, upstream]
        return backward(recurrence, *known)

    solve.defvjp(solve_forward, solve_backward)
    return solve(xs, carry, consts, weights)


def forward(recurrence, xs, carry, consts, weights):
    def step(carry, x):
        r = recurrence.recur(recurrence.query(x, carry, consts), weights)
        carry = recurrence.advance(x, r, carry, consts, weights)
        return carry, carry

    return jax.lax.scan(step, carry, xs)[1]


def backward(recurrence, xs, carry, consts, weights, stacks, upstream):
    """The gradients of all four arguments, in their structure; None for masks."""
    before = [jnp.concatenate([first[None], stack[:-1]]) for first, stack in zip(carry, stacks, strict=True)]
    r = recurrence.recur(recurrence.query(xs, before, consts), weights)

    def step(adjoint, now):
        adjoint = add(adjoint, now["upstream"])
        dz, dr, through_gates = vjp(
            lambda z, r, carry: recurrence.advance({**now["x"], "z": z}, r, carry, consts, weights),
            (now["x"]["z"], now["r"], now["before"]),
            adjoint,
        )
        (through_product,) = vjp(
            lambda carry: recurrence.recur(recurrence.query(now["x"], carry, consts), weights), (now["before"],), dr
        )
        return add(through_gates, through_product), {"z": dz, "r": dr, "adjoint": adjoint}

    steps = {"x": xs, "r": r, "before": before, "upstream": upstream}
    d_carry, d = jax.lax.scan(step, [jnp.zeros_like(c) for c in carry], steps, reverse=True)

    d_consts, d_weights = vjp(
        lambda k, w: recurrence.recur(recurrence.query(xs, before, k), w), (consts, weights), d["r"]
    )
    if recurrence.gates_read_weights or "reset" in xs:
        more = vjp(lambda k, w: recurrence.advance(xs, r, before, k, w), (consts, weights), d["adjoint"])
        d_consts, d_weights = add(d_consts, more[0]), add(d_weights, more[1])
    return {name: d["z"] if name == "z" else None for name in xs}, d_carry, d_consts, d_weights


def vjp(function, arguments, upstream):
    """The vector-Jacobian product of `function` at `arguments`, in their structure."""
    return jax.vjp(function, *arguments)[1](upstream)


def add(a, b):
    return jax.tree.map(jnp.add, a, b)

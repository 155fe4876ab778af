"""A step of a recurrence and the step back, as an engine's loops run them.

Forward, a step returns what the step back needs to know, its saved arrays. Back, it turns the gradient of the carry
after the step into the gradient of the carry before it, and returns the gradients of z and r, from which one product
after the loop makes the gradients of all weights.

Two classes have the same methods: `WrittenStep` for cells whose backward formula is written out, `DerivedStep` for
all others, by the engine's own differentiation of a single step.
"""

from __future__ import annotations

from typing import Any

from keras_rnnkit.cells.base import Cell
from keras_rnnkit.kernels.recurrence import Recurrence, per_row
from keras_rnnkit.ops import keras as kops


def has_written_gradient(cell: Cell) -> bool:
    """Whether the class of the cell defines its equation and the backward formula together.

    A subclass that changes any of it inherits a formula that may no longer hold, so only the class itself counts.
    """
    own = vars(type(cell))
    return all(name in own for name in ("gates", "gates_saved", "gates_backward")) and cell.activations_have_slopes


def step_of(recurrence: Recurrence, vjp) -> DerivedStep:
    """The fastest step for a recurrence. vjp: the engine's `vjp(function, arguments, upstream)`."""
    plain = not recurrence.carries_output and not recurrence.resets
    return (WrittenStep if plain and has_written_gradient(recurrence.cell) else DerivedStep)(recurrence, vjp)


class DerivedStep:
    """A step whose gradient the engine derives. Saved: the product r, the one thing that is dear to compute again."""

    def __init__(self, recurrence: Recurrence, vjp):
        self.recurrence = recurrence
        self.vjp = vjp

    def forward(self, x, carry, consts, weights):
        """The carry after the step, and the saved arrays."""
        rule = self.recurrence
        r = rule.recur(rule.query(x, carry, consts), weights)
        return rule.advance(x, r, carry, consts, weights), [r]

    def read_back(self, xs):
        """The part of the step's inputs that the step back reads."""
        return xs

    def backward(self, x, saved, before, after, adjoint, consts, weights, ops=kops):
        """The gradient of the carry before the step, and of z and r."""
        rule, (r,) = self.recurrence, saved
        d_z, d_r, through_gates = self.vjp(
            lambda z, r, carry: rule.advance({**x, "z": z}, r, carry, consts, weights, ops),
            (x["z"], r, before),
            adjoint,
        )
        through_product = self.through_product(x, before, d_r, consts, weights, ops)
        return add(through_gates, through_product), {"z": d_z, "r": d_r, "adjoint": adjoint}

    def through_product(self, x, before, d_r, consts, weights, ops):
        rule = self.recurrence
        return self.vjp(lambda carry: rule.recur(rule.query(x, carry, consts), weights, ops), (before,), d_r)[0]

    def after_loop(self, xs, saved, before, d, consts, weights):
        """The gradients of consts and weights, from all steps at once."""
        rule = self.recurrence
        d_consts, d_weights = self.vjp(lambda k, w: rule.recur(rule.query(xs, before, k), w), (consts, weights), d["r"])
        if rule.gates_read_weights or "reset" in xs:
            through_gates = self.vjp(
                lambda k, w: rule.advance(xs, saved[0], before, k, w), (consts, weights), d["adjoint"]
            )
            d_consts, d_weights = add([d_consts, d_weights], list(through_gates))
        return d_consts, d_weights


class WrittenStep(DerivedStep):
    """A step of a cell whose backward formula is written out. Saved: what the formula asks for."""

    def forward(self, x, carry, consts, weights):
        rule = self.recurrence
        r = rule.recur(rule.query(x, carry, consts), weights)
        _, state, saved = rule.cell.gates_saved(kops, rule.read(weights), x["z"], r, list(carry))
        if "mask" in x:
            state = [kops.where(per_row(x["mask"], s), new, s) for new, s in zip(state, carry, strict=True)]
        return list(state), list(saved)

    def read_back(self, xs):
        return {name: flags for name, flags in xs.items() if name != "z"}

    def backward(self, x, saved, before, after, adjoint, consts, weights, ops=kops):
        rule = self.recurrence
        w = rule.read(weights)
        d_z, d_r, direct = rule.cell.gates_backward(kops, w, saved, before, after, adjoint)
        if "mask" in x:  # a masked step hands the gradient on as it is
            d_z, d_r = same_zeroed(x["mask"], d_z, d_r)
        through_product = self.through_product(x, before, d_r, consts, weights, ops)
        d_before = [b if a is None else a + b for a, b in zip(direct, through_product, strict=True)]
        if "mask" in x:
            d_before = [kops.where(per_row(x["mask"], a), d, a) for d, a in zip(d_before, adjoint, strict=True)]
        return d_before, {"z": d_z} if d_r is d_z else {"z": d_z, "r": d_r}

    def after_loop(self, xs, saved, before, d, consts, weights):
        rule = self.recurrence
        d_consts, d_weights = self.vjp(
            lambda k, w: rule.recur(rule.query(xs, before, k), w), (consts, weights), d.get("r", d["z"])
        )
        own = rule.cell.gates_weights_backward(kops, rule.read(weights), saved, before, d["z"])
        return d_consts, rule.with_added(d_weights, own)


def same_zeroed(flags, a, b):
    """Both arrays with zeros in rows whose flag is not set; one array where they are the same."""
    zeroed: Any = kops.where(per_row(flags, a), a, kops.zeros_like(a))
    return zeroed, zeroed if b is a else kops.where(per_row(flags, b), b, kops.zeros_like(b))


def add(a, b):
    """The sum of two equal structures of lists, tuples and dicts."""
    if isinstance(a, dict):
        return {name: add(a[name], b[name]) for name in a}
    if isinstance(a, list | tuple):
        return [add(x, y) for x, y in zip(a, b, strict=True)]
    return a + b

"""A cell's loop as pure functions over one carry: what an engine differentiates.

Masks and resets are inputs of a step like any other, so an engine knows nothing of them.
"""

from __future__ import annotations

from typing import Any

import keras

from keras_rnnkit.cells.base import Cell
from keras_rnnkit.ops import keras as kops


class Recurrence:
    """One step of a cell with its masks and resets, in the three parts of `Cell`.

    x: what a step reads, a dict: "z", and where present "mask" and "reset", [B] booleans.
    carry: the states, and the output behind them where the first state does not tell it: in cells that emit
        something else, and where a masked step repeats an output while a reset changes the state.
    consts: the same at every step, a dict: "start" (states to go back to at a reset), "drop" (recurrent dropout).
    weights: the arrays of the cell's variables, in the order of `cell.weights`.
    """

    def __init__(self, cell: Cell, masked: bool = False, resets: bool = False):
        self.cell = cell
        self.masked, self.resets = masked, resets
        self.carries_output = not cell.emits_state or (masked and resets)
        self.order = {id(v): i for i, v in enumerate(cell.weights)}
        self.gates_read_weights = False

    def query(self, x, carry, consts):
        """The first state as `recur` sees it: reset where the step says so, dropped in training."""
        h = carry[0]
        if "reset" in x:
            h = kops.where(per_row(x["reset"], h), consts["start"][0], h)
        return h * consts["drop"] if "drop" in consts else h

    def recur(self, h, weights, ops=kops):
        return self.cell.recur(ops, self.read(weights), h)

    def advance(self, x, r, carry, consts, weights, ops=kops):
        """The carry after the step."""
        state, y = self.states(carry), carry[-1]
        if "reset" in x:
            state = [kops.where(per_row(x["reset"], s), s0, s) for s, s0 in zip(state, consts["start"], strict=True)]
        new_y, new = self.cell.gates(ops, self.read(weights, by_gates=True), x["z"], r, list(state))
        self._check(new_y, new, state)
        if "mask" in x:
            new = [kops.where(per_row(x["mask"], s), n, s) for n, s in zip(new, state, strict=True)]
            new_y = kops.where(per_row(x["mask"], y), new_y, y) if self.carries_output else new_y
        return [*new, new_y] if self.carries_output else list(new)

    def states(self, carry):
        return carry[:-1] if self.carries_output else carry

    def outputs(self, carry):
        return carry[-1] if self.carries_output else carry[0]

    def first_carry(self, state):
        """The carry before the first step."""
        if not self.carries_output:
            return list(state)
        zeros = keras.ops.zeros((keras.ops.shape(state[0])[0], self.cell.output_size), dtype=state[0].dtype)
        return [*state, zeros]

    def read(self, weights, by_gates: bool = False):
        """The weights by attribute name, for the methods of the cell."""

        def array_of(variable: keras.Variable) -> Any:
            self.gates_read_weights |= by_gates
            return weights[self.order[id(variable)]]

        return self.cell.weights_as(array_of)

    def in_loop(self, weights):
        """The weights as a loop gets them: all of them, because any cell may read any of them in a step."""
        return weights

    def with_added(self, d_weights, by_name):
        """The gradients of the weights with others added, which come by the name of an attribute of the cell."""
        places = {self.order[id(getattr(self.cell, name))]: array for name, array in by_name.items()}
        return [d + places[i] if i in places else d for i, d in enumerate(d_weights)]

    def _check(self, y, new, state):
        name = type(self.cell).__name__
        if len(new) != len(state):
            raise ValueError(
                f"{name}.gates must return (output, states) with {len(state)} states, as state_size says. "
                f"Received: {len(new)} states."
            )
        if self.cell.emits_state and y is not new[0]:
            raise ValueError(
                f"{name}.gates returns an output that is not its first state. "
                f"Set `emits_state = False` on the class, so that kernels carry the output as well."
            )


def per_row(flags, like):
    """Booleans [..., B] made to broadcast against `like` [..., B, size]."""
    return keras.ops.reshape(flags, (*keras.ops.shape(flags), *[1] * (len(like.shape) - len(flags.shape))))

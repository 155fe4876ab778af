"""The inputs of a hoisted loop, and the call of the backend's engine that runs it."""

from __future__ import annotations

import importlib

import keras

from keras_rnnkit.ops import keras as kops

ENGINES = {"tensorflow": "engine_tensorflow", "jax": "engine_jax"}


def stacks_of(recurrence, steps, carry, consts, weights, training):
    """The carries after each step. steps: "x", or "z" where it was projected before, and "mask" and "reset"."""
    engine = importlib.import_module(f"keras_rnnkit.kernels.{ENGINES[keras.backend.backend()]}")
    inputs = LoopInputs(recurrence, steps, carry, weights, training)
    return engine.run(recurrence, inputs, carry, consts, weights, bool(training))


class LoopInputs:
    """The inputs of a loop at its steps. An engine asks for as many steps as it will run."""

    def __init__(self, recurrence, steps, carry, weights, training):
        self.recurrence, self.steps, self.training = recurrence, steps, training
        self.states, self.weights = recurrence.states(carry), weights
        self.length, self.batch = keras.tree.flatten(steps)[0].shape[:2]
        self.mask = steps.get("mask")
        self.masked = self.mask is not None

    @property
    def active(self):
        """The steps [T, B] of a masked batch that may change something: the valid ones, and those with resets."""
        if self.mask is None:
            return None
        return self.mask | self.steps["reset"] if "reset" in self.steps else self.mask

    def of(self, steps, carry) -> LoopInputs:
        """The same for other steps and states."""
        return LoopInputs(self.recurrence, steps, carry, self.weights, self.training)

    def first(self, count=None):
        """The first steps, or all; the input product is one for all of them."""
        xs = {
            name: a if count is None else keras.tree.map_structure(lambda x: x[:count], a)
            for name, a in self.steps.items()
        }
        if "z" in xs:
            return xs
        cell, w, x = self.recurrence.cell, self.recurrence.read(self.weights), xs.pop("x")
        z = cell.inputs(kops, w, x, self.states, training=self.training, mask=xs.get("mask"))
        return {"z": z, **xs}

"""The ways in which a model is called for export, each a pure function: outputs, next states = run(inputs, states)."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import keras
import numpy as np
from keras import tree

from keras_rnnkit import keras_internals
from keras_rnnkit.export.reading.hooks.layer_hooks import LayerHooks, hooked
from keras_rnnkit.export.reading.signature import Signature, output_names


class State(NamedTuple):
    """A state that goes round outside the graph. shape: batch first, None where it is free.

    start: its value in a row that begins, without the batch. layer: the one it belongs to.
    """

    layer: str
    shape: tuple[int | None, ...]
    dtype: str
    start: np.ndarray


class ModelCall(Protocol):
    """What is traced, and what Keras computes to compare with."""

    mode: str
    model: Any
    signature: Signature
    states: list[State]

    def run(self, inputs: list[Any], states: list[Any], hooks: LayerHooks) -> tuple[Any, list[Any]]:
        """The model's outputs, and the states after them; the recurrent layers ask `hooks`."""


class SequenceCall:
    """The model over whole sequences. States that stateful layers carry from batch to batch are read and written."""

    mode = "sequence"

    def __init__(self, model, signature: Signature):
        self.model = model
        self.signature = signature
        self.variables = variables(model)
        self.states = [
            State(layer, tuple(v.shape), str(v.dtype), np.zeros(tuple(v.shape)[1:], str(v.dtype)))
            for layer, v in self.variables
        ]

    def run(self, inputs, states, hooks):
        hooks.begin()
        with hooked(hooks):
            if not states:
                outputs = self.signature.call(self.model, inputs)
                hooks.check_operations(self.model)
                return outputs, []
            initial = [(v, state) for (_, v), state in zip(self.variables, states, strict=True)]
            with keras.StatelessScope(state_mapping=initial) as scope:
                outputs = self.signature.call(self.model, inputs)
            hooks.check_operations(self.model)
            return outputs, [scope.get_current_value(variable) for _, variable in self.variables]


def variables(model) -> list[tuple[str, Any]]:
    """The state variables of stateful recurrent layers, from the inputs on, with the layers' names."""
    by_id: dict[int, tuple[str, Any]] = {}
    for layer in keras_internals.flatten_layers(model):
        if isinstance(layer, keras.layers.RNN) and layer.stateful and layer.states is not None:
            by_id |= {id(variable): (layer.name, variable) for variable in tree.flatten(layer.states)}
    return list(by_id.values())


def state_names(model_call: ModelCall) -> list[tuple[str, str]]:
    """(input, output) names of each state: `state_0` and `next_state_0` unless the model's inputs are called so."""
    inputs, stem = {spec.name for spec in model_call.signature.inputs}, "state"
    while any(f"{before}{stem}_{i}" in inputs for before in ("", "next_") for i, _ in enumerate(model_call.states)):
        stem = f"carried_{stem}"
    return [(f"{stem}_{i}", f"next_{stem}_{i}") for i, _ in enumerate(model_call.states)]


def input_names(model_call: ModelCall) -> list[str]:
    return [*(spec.name for spec in model_call.signature.inputs), *(name for name, _ in state_names(model_call))]


def named_outputs(model_call: ModelCall, values: Any, states: list[Any]) -> dict[str, Any]:
    """What `model_call.run` returns, flat, by the names it has outside."""
    after = [name for _, name in state_names(model_call)]
    names = output_names(model_call.model, tree.map_structure(lambda _: 0, values), {*input_names(model_call), *after})
    return dict(zip([*names, *after], [*tree.flatten(values), *states], strict=True))

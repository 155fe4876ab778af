"""What Keras computes: the model as the user has it, called with nothing patched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import tree

from keras_rnnkit import keras_internals
from keras_rnnkit.export.checking.comparison import Arrays, epsilon
from keras_rnnkit.export.reading.hooks.layer_hooks import without_dropout_masks
from keras_rnnkit.export.reading.hooks.output_recorder import Call, OutputRecorder
from keras_rnnkit.export.reading.input_values import padding_values
from keras_rnnkit.export.reading.model_calls import ModelCall, named_outputs, variables
from keras_rnnkit.export.reading.names import layer_paths
from keras_rnnkit.export.reading.signature import Signature

DRAWS = 3
"""How often weights and inputs are moved to estimate the rounding noise."""


class Reference:
    """Calls a model. States of stateful layers are given and returned; the model's own are neither read nor written."""

    def __init__(self, model_call: ModelCall):
        self.model_call = model_call
        self.model, self.signature = model_call.model, model_call.signature
        self.states = variables(self.model)
        self._graph: Callable | None = None

    def outputs(self, inputs: list[Any], states: Iterable[Any] = (), weights: Iterable[Any] = ()) -> Arrays:
        """The outputs by name, and the states after them. weights: pairs of a variable and a value in its place."""
        with tf.device("/CPU:0"):
            return arrays(self._call(inputs, states, weights, states_too=True))

    def _call(self, inputs, states, weights, states_too: bool) -> dict[str, Any]:
        with without_dropout_masks(self.model):
            return self._called(list(states), inputs, weights, states_too)

    def _called(self, states, inputs, weights, states_too: bool) -> dict[str, Any]:
        pairs = [(variable, state) for (_, variable), state in zip(self.states, states, strict=bool(states))]
        if not pairs and not weights:
            return by_name(self.model_call, call(self.model, self.signature, inputs), [])
        with keras.StatelessScope(state_mapping=[*weights, *pairs]) as scope:
            outputs = call(self.model, self.signature, inputs)
        after = [scope.get_current_value(variable) for _, variable in self.states] if states_too and states else []
        return by_name(self.model_call, outputs, after)

    def in_a_graph(self, inputs: list[Any], states: Iterable[Any] = ()) -> Arrays:
        """The same inside a `tf.function`."""
        if self._graph is None:
            self._graph = traced(self)
        with tf.device("/CPU:0"):
            return arrays(self._graph(*[tf.constant(x) for x in [*inputs, *states]]))

    def whole(self, inputs: list[np.ndarray], weights: Iterable[Any] = ()) -> Arrays:
        """The outputs for sequences that begin here, for any number of rows: a fixed batch is called group by group."""
        batch = self.batch
        with tf.device("/CPU:0"):
            groups = [
                arrays(self._call(group, self.begin(), weights, states_too=False))
                for group in (grouped(inputs, batch) if batch else [inputs])
            ]
        return {name: np.concatenate([g[name] for g in groups])[: len(inputs[0])] for name in groups[0]}

    def begin(self) -> list[np.ndarray]:
        """The states of stateful layers at the start of a sequence."""
        return [np.zeros(tuple(v.shape), keras.backend.standardize_dtype(v.dtype)) for _, v in self.states]

    @property
    def batch(self) -> int | None:
        """The number of rows that the model takes, None where it is free."""
        fixed = [v.shape[0] for _, v in self.states]
        fixed += [tensor.shape[0] for tensor in getattr(self.model, "inputs", None) or () if tensor.shape]
        return next((n for n in fixed if n), None)

    def layers(self, inputs: list[np.ndarray], states: Iterable[Any] = (), weights: Iterable[Any] = ()) -> list[Call]:
        """The calls of all layers, in the order in which they ended, as a recorder sees them that only looks on."""
        recorder = OutputRecorder(layer_paths(self.model))
        with recorder.recording(), tf.device("/CPU:0"):
            self._call(inputs, states, weights, states_too=False)
        return recorder.calls

    def moved(self, inputs: list[np.ndarray], states: Iterable[Any], seed: int, eps: float | None = None):
        """(inputs, states, weights) moved by about one unit in the last place, up or down at random."""
        rng, fixed = np.random.default_rng(seed), padding_values(self.model)
        weights = [(v, nudged(rng, v.numpy(), (), eps)) for v in self.model.variables if is_float(v.dtype)]
        own = {id(variable) for _, variable in self.states}
        weights = [pair for pair in weights if id(pair[0]) not in own]
        return [nudged(rng, x, fixed, eps) for x in inputs], [nudged(rng, s, (), eps) for s in states], weights


def call(model, signature: Signature, inputs: list[Any]) -> Any:
    """The outputs of the model; inputs in a dict are packed by key, whatever order they are kept in."""
    names = [spec.name for spec in signature.inputs]
    if isinstance(signature.structure, Mapping) and set(signature.structure) == set(names):
        return model(dict(zip(names, inputs, strict=True)), training=False)
    return signature.call(model, inputs)


def by_name(model_call: ModelCall, outputs: Any, states: list[Any]) -> dict[str, Any]:
    """Outputs and states by the names that they have in the file; those in a dict by key, in whatever order."""
    flat = tree.flatten(outputs)
    named = named_outputs(model_call, outputs, states or [None] * len(model_call.states))
    named = dict(list(named.items())[: len(flat) + len(states)])
    if isinstance(outputs, Mapping):
        named |= {name: value for name, value in outputs.items() if name in named and not tree.is_nested(value)}
    return named


def arrays(values: Mapping[str, Any]) -> Arrays:
    return {name: np.asarray(keras.ops.convert_to_numpy(value)) for name, value in values.items()}


def traced(reference: Reference) -> Callable:
    """The model as a function of TensorFlow, traced for each size.

    It is not traced for free sizes: Keras' TimeDistributed then computes something else than it does eagerly.
    """
    count = len(reference.signature.inputs)

    def function(*tensors):
        streams = reference.model_call.mode == "stream"
        named = reference._call(list(tensors[:count]), tensors[count:], (), states_too=not streams)
        return {name: tf.convert_to_tensor(value) for name, value in named.items()}

    return tf.function(function, autograph=False, reduce_retracing=False)


def grouped(inputs: list[np.ndarray], batch: int) -> Iterable[list[np.ndarray]]:
    """The rows in groups of `batch`, the last one filled up with its last row."""
    rows = len(inputs[0])
    for begin in range(0, rows, batch):
        chosen = np.minimum(np.arange(begin, begin + batch), rows - 1)
        yield [x[chosen] for x in inputs]


def nudged(rng, x: np.ndarray, fixed: Iterable[float], eps: float | None) -> np.ndarray:
    """x with every number one unit in the last place larger or smaller; `fixed` numbers, and whole ones, stay."""
    x = np.asarray(x)
    if not is_float(x.dtype):
        return x
    signs = rng.integers(0, 2, size=x.shape) * 2 - 1
    moved = (x * (1 + (eps or epsilon(x.dtype)) * signs)).astype(x.dtype)
    return np.where(np.isin(x, list(fixed)), x, moved).astype(x.dtype)


def is_float(dtype) -> bool:
    return "float" in str(dtype)


def has_users_code(model) -> bool:
    """Whether code runs in the model that is neither Keras' nor ours, and may tell a graph from an eager call."""
    layers = list(keras_internals.flatten_layers(model))
    functions = [getattr(layer, name, None) for layer in layers for name in ("activation", "recurrent_activation")]
    modules = [type(x).__module__ for x in layers] + [getattr(f, "__module__", None) or "keras" for f in functions if f]
    foreign = any(module.split(".")[0] not in ("keras", "keras_rnnkit") for module in modules)
    return foreign or any(isinstance(layer, keras.layers.Lambda) for layer in layers)

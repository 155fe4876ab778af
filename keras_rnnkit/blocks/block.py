"""The base class of residual blocks: what makes a layer with recurrences inside a recurrent layer itself."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops, tree

from keras_rnnkit.cells.arguments import argument_names, rate
from keras_rnnkit.layers import checks
from keras_rnnkit.layers.recurrent import Recurrent


class Block(keras.layers.Layer):
    """A residual block with recurrences inside: as wide as its input, and a recurrent layer to `rk.Stack` and others.

    A subclass makes its layers in `make_layers(D)` and says in `transform(x, run, training)` what they compute, where
    `run(layer, x)` runs one of its recurrences, each once and in the same order in every call.

    Arguments:
        dropout: rate of dropout on what each branch adds to the residual stream.
        return_sequences: return the output of every step, or of the last valid step only.
        return_state: return the states of all recurrences too.
        stateful: carry the states from batch to batch.
        name, dtype, trainable: as in any Keras layer.

    Call arguments:
        sequences: [B, T, D].
        initial_state: the states of all recurrences, in the order in which return_state=True returns them.
        mask: booleans [B, T]; steps where it is false leave the states as they are.
        training: whether dropout is active.
        reset_mask: booleans [B, T]; where true, a row's states start anew before that step.
    """

    def __init__(self, dropout=0.0, return_sequences=True, return_state=False, stateful=False, **kwargs):
        super().__init__(**kwargs)
        self.dropout = rate("dropout", dropout, self)
        self.return_sequences = return_sequences
        self.return_state = return_state
        self._stateful = stateful
        self.supports_masking = True
        self.recurrences: list[Recurrent] = []
        self.drop = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy)

    # ------------------------------------------------------------------ for subclasses

    def make_layers(self, features: int) -> None:
        """Make the layers, through `dense`, `norm` and `recurrence`, for an input of so many features."""
        raise NotImplementedError(f"{type(self).__name__} must define make_layers(self, features)")

    def transform(self, x, run, training):
        """The output [B, T, D] of every step."""
        raise NotImplementedError(f"{type(self).__name__} must define transform(self, x, run, training)")

    def dense(self, features: int, units: int, activation=None):
        return built(keras.layers.Dense(units, activation, dtype=self.dtype_policy), (None, None, features))

    def norm(self, features: int, kind=keras.layers.LayerNormalization):
        return built(kind(dtype=self.dtype_policy), (None, None, features))

    def recurrence(self, cell, features: int) -> Recurrent:
        layer = Recurrent(
            cell, return_sequences=True, return_state=True, stateful=self._stateful, dtype=self.dtype_policy
        )
        self.recurrences.append(layer)
        return built(layer, (self._batch, None, features))

    # ------------------------------------------------------------------ Keras' surface

    def build(self, sequences_shape, initial_state_shape=None):
        checks.sequences(self, sequences_shape)
        self._batch, self._features = sequences_shape[0], sequences_shape[-1]
        self.make_layers(self._features)

    def call(self, sequences, initial_state=None, mask=None, training=False, reset_mask=None):
        checks.features(self, sequences.shape, self._features)
        if initial_state is not None:
            checks.states(self, initial_state, sequences.shape[0])
        run = Run(self, initial_state, mask, training, reset_mask)
        y = self.transform(ops.cast(sequences, self.compute_dtype), run, training)
        y = y if self.return_sequences else last_valid(y, mask)
        return (y, *run.states) if self.return_state else y

    def compute_output_shape(self, sequences_shape, initial_state_shape=None):
        batch, time, features = sequences_shape
        shape = (batch, time, features) if self.return_sequences else (batch, features)
        return (shape, *((batch, size) for size in self.state_size)) if self.return_state else shape

    def compute_mask(self, sequences, mask=None):
        mask = tree.flatten(mask)[0] if tree.is_nested(mask) else mask
        output_mask = mask if self.return_sequences else None
        return [output_mask, *[None] * len(self.state_size)] if self.return_state else output_mask

    @property
    def state_size(self) -> list[int]:
        return [size for layer in self.recurrences for size in tree.flatten(layer.state_size)]

    @property
    def stateful(self) -> bool:
        return self._stateful

    @stateful.setter
    def stateful(self, value: bool):
        self._stateful = value
        for layer in self.recurrences:
            layer.stateful = value

    @property
    def states(self):
        """The carried states of a stateful block; None before it is built."""
        by_layer = [layer.states for layer in self.recurrences]
        return None if not by_layer or any(states is None for states in by_layer) else tree.flatten(by_layer)

    def reset_state(self):
        for layer in self.recurrences:
            layer.reset_state()

    reset_states = reset_state

    def get_config(self):
        return {**super().get_config(), **{name: getattr(self, name) for name in argument_names(type(self))}}


class Run:
    """The recurrences of one call of a block: hands each its initial states, and collects its last ones."""

    def __init__(self, block: Block, initial_state, mask, training, reset_mask):
        self.initial_state = None if initial_state is None else iter(initial_state)
        self.arguments = {"mask": mask, "training": training, "reset_mask": reset_mask}
        self.states: list[Any] = []

    def __call__(self, layer: Recurrent, x):
        start = None
        if self.initial_state is not None:
            start = [next(self.initial_state) for _ in tree.flatten(layer.state_size)]
        y, *states = layer(x, initial_state=start, **self.arguments)
        self.states += states
        return y


def built(layer, shape):
    layer.build(shape)
    layer.built = True
    return layer


def last_valid(y, mask):
    """The output [B, D] of each row's last valid step, which is the last one where none is valid."""
    if mask is None:
        return y[:, -1]
    behind = ops.argmax(ops.cast(ops.flip(mask, axis=1), "int32"), axis=1)
    return ops.take_along_axis(y, (ops.shape(y)[1] - 1 - behind)[:, None, None], axis=1)[:, 0]

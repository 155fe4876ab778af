"""What happens instead when a model calls its recurrent layers, its causal convolutions and its TimeDistributed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from keras_rnnkit import keras_internals
from keras_rnnkit.export.errors import ExportError, first_lines
from keras_rnnkit.export.reading.hooks.folding import folded, step_by_step, treats_rows_alone
from keras_rnnkit.export.reading.hooks.operations import check_python_functions
from keras_rnnkit.export.reading.hooks.patches import Patch, PatchedMethod, patched
from keras_rnnkit.export.reading.hooks.traced_functions import FUNCTION, call_inline
from keras_rnnkit.export.reading.names import distinct_name
from keras_rnnkit.layers.recurrent import Recurrent

LAYERS = keras.layers
RECURRENT = (LAYERS.RNN, LAYERS.LSTM, LAYERS.GRU, Recurrent)
"""The classes that have an `inner_loop` of their own."""


class LayerHooks:
    """Decides what a layer that is called inside `hooked` computes. This one lets each layer run as it does.

    names: the paths of the model's layers, by id. inside_rows: how many TimeDistributed there are around the layer.
    """

    def __init__(self, names: dict[int, str]):
        self.names = dict(names)
        self.inside_rows = 0
        self._depth = 0
        self._calls: dict[int, int] = {}
        self._inside: set[int] = set()
        self._rows_alone: dict[Any, bool] = {}

    def run_recurrence(self, layer, name, original, sequences, initial_state, mask, training):
        """What stands in for the `inner_loop` of a recurrent layer."""
        return original(layer, sequences, initial_state, mask, training=training)

    def run_convolution(self, layer, original, inputs):
        """What stands in for the `call` of a Conv1D."""
        return original(layer, inputs)

    def begin(self) -> None:
        """Called before the model; TensorFlow traces a function again if a layer made variables in the first trace."""
        self._calls.clear()

    def check_operations(self, model) -> None:
        """Called after the model, while what it wrote can be looked at: ExportError if no file can hold it."""
        if not tf.executing_eagerly():
            check_python_functions(model)

    def name(self, layer) -> str:
        """The layer's path in the model, numbered from its second call on."""
        number = self._calls[id(layer)] = self._calls.get(id(layer), 0) + 1
        return self.path(layer) if number == 1 else f"{self.path(layer)}#{number}"

    def path(self, layer) -> str:
        """A path that is this layer's alone, also where the model does not track it."""
        if id(layer) not in self.names:
            self.names[id(layer)] = distinct_name(layer.name, set(self.names.values()))
        return self.names[id(layer)]

    def inner_loop(self, original, layer, sequences, initial_state, mask, training=False):
        if id(layer) in self._inside:  # Keras' LSTM calls the method of RNN, which is patched as well
            return original(layer, sequences, initial_state, mask, training=training)
        self._inside.add(id(layer))
        try:
            return self.run_recurrence(layer, self.name(layer), original, sequences, initial_state, mask, training)
        finally:
            self._inside.discard(id(layer))

    def layer_call(self, original, layer, *args, **kwargs):
        """Any layer's call: an error while a graph is traced becomes an ExportError that names the layer."""
        self._depth += 1
        try:
            return original(layer, *args, **kwargs)
        except ExportError as error:  # Keras puts the calls of all layers around its words
            raise ExportError(first_lines(error)) from error
        except Exception as error:
            if tf.executing_eagerly() or self._depth == 1 or self._inside:  # the model's own; a cell, not yet its layer
                raise
            raise ExportError(self.untraceable(layer, error)) from error
        finally:
            self._depth -= 1

    def untraceable(self, layer, error: Exception) -> str:
        words = first_lines(error)
        remedy = (
            "It calls NumPy on a tensor; write it with keras.ops or TensorFlow operations."
            if isinstance(error, NotImplementedError) and "numpy" in words
            else "If the model's inputs are not what it was first called with, pass inputs=: arrays as the model takes "
            "them, or keras.InputSpec."
        )
        path = self.names.get(id(layer), layer.name)
        return (
            f"The layer {path!r} ({type(layer).__name__}) could not be traced for export. {type(error).__name__}: "
            f"{words} {remedy}"
        )

    def convolution(self, original, layer, inputs):
        return self.run_convolution(layer, original, inputs)

    def time_distributed(self, original, wrapper, inputs, training=None, mask=None):
        self.inside_rows += 1
        try:
            if self.rows_alone(wrapper.layer, inputs, mask):
                return folded(wrapper.layer, inputs, mask, training)
            if inputs.shape[1] is None:
                return step_by_step(wrapper.layer, inputs, mask, training)
            return original(wrapper, inputs, training=training, mask=mask)
        finally:
            self.inside_rows -= 1

    def rows_alone(self, layer, inputs, mask) -> bool:
        key = (id(layer), *(None if x is None else (tuple(x.shape[2:]), x.dtype) for x in (inputs, mask)))
        if key not in self._rows_alone:
            self._rows_alone[key] = treats_rows_alone(layer, inputs, mask)
        return self._rows_alone[key]


def dropout_mask_patches() -> Iterator[Patch]:
    """Keras keeps dropout masks on the cells, at inference too, where another thread may be training with them."""
    for name in keras_internals.DROPOUT_MASKS:
        yield PatchedMethod(LAYERS.RNN, name, lambda *_, **__: None)


@contextlib.contextmanager
def without_dropout_masks(model) -> Iterator[None]:
    """Inside, this thread calls the model at inference and leaves the dropout masks on its cells alone.

    Nothing is patched if no cell draws masks. Where one does, saving the masks and putting them back would not do:
    another thread that trains the model reads them meanwhile.
    """
    if not any(draws_masks(layer) for layer in keras_internals.flatten_layers(model)):
        yield
        return
    with patched(dropout_mask_patches):
        yield


def draws_masks(layer) -> bool:
    return isinstance(layer, keras_internals.DropoutRNNCell) and bool(layer.dropout or layer.recurrent_dropout)


@contextlib.contextmanager
def hooked(hooks: LayerHooks) -> Iterator[None]:
    """Inside, the layers that this thread calls ask `hooks`; those that other threads call run as ever."""

    def patches() -> Iterator[Patch]:
        for cls in RECURRENT:
            yield PatchedMethod(cls, "inner_loop", hooks.inner_loop)
        for name in keras_internals.FUSED_BIDIRECTIONAL:  # both directions at once, past `inner_loop`
            if hasattr(LAYERS.Bidirectional, name):
                yield PatchedMethod(LAYERS.Bidirectional, name, lambda *_, **__: False)
        yield from dropout_mask_patches()
        yield PatchedMethod(LAYERS.Layer, "__call__", hooks.layer_call)
        yield PatchedMethod(FUNCTION, "__call__", call_inline)
        yield PatchedMethod(LAYERS.TimeDistributed, "call", hooks.time_distributed)
        yield PatchedMethod(LAYERS.Conv1D, "call", hooks.convolution)

    with patched(patches):
        yield

"""Being asked by every recurrent layer that a model calls."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf

from keras_rnnkit.layers.recurrent import Recurrent

PATCHED = (keras.layers.RNN, keras.layers.LSTM, keras.layers.GRU, Recurrent)
LOCK = threading.RLock()


class LayerHooks:
    """Is asked by every recurrent layer that is called inside `patched`. A subclass says what happens in `met`; this
    one lets each run as it does.

    inside_rows: how many TimeDistributed there are around the layer: its sequences are then rows of another's steps.
    """

    def __init__(self, names: dict[int, str]):
        self.names = names
        self.inside_rows = 0
        self._calls: dict[str, int] = {}
        self._inside: set[int] = set()

    def inner_loop(self, layer, original, sequences, initial_state, mask, training):
        """What stands in for a layer's `inner_loop`."""
        if id(layer) in self._inside:  # Keras' LSTM hands on to RNN, which is patched as well
            return original(layer, sequences, initial_state, mask, training=training)
        self._inside.add(id(layer))
        try:
            return self.run_recurrence(layer, self.name(layer), original, sequences, initial_state, mask, training)
        finally:
            self._inside.discard(id(layer))

    def name(self, layer) -> str:
        """The layer's path in the model, numbered from its second call on."""
        path = self.names.get(id(layer), layer.name)
        self._calls[path] = self._calls.get(path, 0) + 1
        return path if self._calls[path] == 1 else f"{path}#{self._calls[path]}"

    def run_recurrence(self, layer, name, original, sequences, initial_state, mask, training):
        return original(layer, sequences, initial_state, mask, training=training)


@contextlib.contextmanager
def hooked(hooks: LayerHooks) -> Iterator[None]:
    """Inside, this thread's recurrent layers ask `hooks`; those of other threads run as ever."""
    owner = threading.get_ident()
    with LOCK, contextlib.ExitStack() as undo:
        for cls in PATCHED:
            put(undo, cls, "inner_loop", loop_in_place_of(vars(cls)["inner_loop"], hooks, owner))
        for name in ("_can_attempt_fused_lstm", "_can_attempt_fused_gru"):  # both directions at once, past inner_loop
            if name in vars(keras.layers.Bidirectional):
                put(undo, keras.layers.Bidirectional, name, lambda *_, **__: False)
        put(
            undo,
            keras.layers.TimeDistributed,
            "call",
            rows_in_place_of(keras.layers.TimeDistributed.call, hooks, owner),
        )
        yield


def put(undo: contextlib.ExitStack, cls: type, name: str, value: Callable) -> None:
    undo.callback(setattr, cls, name, vars(cls)[name])
    setattr(cls, name, value)


def loop_in_place_of(original: Callable, hooks: LayerHooks, owner: int) -> Callable:
    def inner_loop(self, sequences, initial_state, mask, training=False):
        if threading.get_ident() != owner:
            return original(self, sequences, initial_state, mask, training=training)
        return hooks.inner_loop(self, original, sequences, initial_state, mask, training)

    return inner_loop


def rows_in_place_of(original: Callable, hooks: LayerHooks, owner: int) -> Callable:
    """TimeDistributed as one call on B * N rows: TensorFlow traces N calls, or a loop of unknown length.

    Exact for layers that treat each row by itself, which Keras' own and ours do when they do not train.
    """

    def call(self, inputs, training=None, mask=None):
        if threading.get_ident() != owner:
            return original(self, inputs, training=training, mask=mask)
        hooks.inside_rows += 1
        try:
            return rows(self, inputs, training, mask)
        finally:
            hooks.inside_rows -= 1

    def rows(self, inputs, training, mask):
        masked_steps = mask is not None and len(mask.shape) < 3
        if masked_steps or not all(treats_rows_alone(layer) for layer in self.layer._flatten_layers()):
            return original(self, inputs, training=training, mask=mask)
        keywords = {"training": training} if self.layer._call_has_training_arg else {}
        if mask is not None and self.layer._call_has_mask_arg:
            keywords["mask"] = merged(mask)
        outputs = self.layer.call(merged(inputs), **keywords)
        lead = tf.shape(inputs)[:2]
        split = tf.reshape(outputs, tf.concat([lead, tf.shape(outputs)[1:]], axis=0))
        split.set_shape([*inputs.shape[:2], *outputs.shape[1:]])
        return split

    return call


def merged(x):
    """[B * N, ...] from [B, N, ...]."""
    rows = tf.reshape(x, tf.concat([[-1], tf.shape(x)[2:]], axis=0))
    rows.set_shape([None if None in x.shape[:2] else x.shape[0] * x.shape[1], *x.shape[2:]])
    return rows


def treats_rows_alone(layer) -> bool:
    if isinstance(layer, keras.layers.Lambda) or getattr(layer, "stateful", False):
        return False
    return type(layer).__module__.split(".")[0] in ("keras", "keras_rnnkit")

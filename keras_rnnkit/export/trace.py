"""Stage one of an export: a model becomes a graph in which each recurrence is one foreign node.

While a model is traced, `inner_loop` of every recurrent layer, Keras' own included, writes a `PyFunc` with a token in
place of its loop; tf2onnx carries it through under a domain of ours, and `export.lower` writes what it stands for.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
import tf2onnx
from keras import tree
from onnx import ModelProto

from keras_rnnkit.cells.adopt import adopt
from keras_rnnkit.export import lowering
from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.lower import DOMAIN
from keras_rnnkit.export.signature import Signature
from keras_rnnkit.export.site import Site
from keras_rnnkit.layers.recurrent import Recurrent, Steps

PATCHED = (keras.layers.RNN, keras.layers.LSTM, keras.layers.GRU, Recurrent)
LOCK = threading.RLock()


class Meetings:
    """Is asked by every recurrent layer that is called inside `patched`. A subclass says what happens in `met`."""

    def __init__(self, names: dict[int, str]):
        self.names = names
        self._calls: dict[str, int] = {}
        self._inside: set[int] = set()

    def inner_loop(self, layer, original, sequences, initial_state, mask, training):
        """What stands in for a layer's `inner_loop`."""
        if id(layer) in self._inside:  # Keras' LSTM hands on to RNN, which is patched as well
            return original(layer, sequences, initial_state, mask, training=training)
        self._inside.add(id(layer))
        try:
            return self.met(layer, self.name(layer), original, sequences, initial_state, mask, training)
        finally:
            self._inside.discard(id(layer))

    def name(self, layer) -> str:
        """The layer's path in the model, numbered from its second call on."""
        path = self.names.get(id(layer), layer.name)
        self._calls[path] = self._calls.get(path, 0) + 1
        return path if self._calls[path] == 1 else f"{path}#{self._calls[path]}"

    def met(self, layer, name, original, sequences, initial_state, mask, training):
        raise NotImplementedError


class Left(NamedTuple):
    """A recurrence that stays as TensorFlow traces it, and why."""

    name: str
    reason: str


class Tracing(Meetings):
    """Writes foreign nodes. `sites`: what they stand for, by token; `left`: the recurrences we cannot take over."""

    def __init__(self, layers: dict[str, Any], prefer: str = "auto"):
        super().__init__({id(layer): path for path, layer in layers.items()})
        self.prefer = prefer
        self.equations = {id(layer): equations(layer) for layer in layers.values()}  # tracing may make no variables
        self.sites: list[Site] = []
        self.left: list[Left] = []

    def met(self, layer, name, original, sequences, initial_state, mask, training):
        with tf.init_scope():  # what we make to look at the cell is no part of the graph
            cells, reason = readable(layer, self.equations.get(id(layer), [None]), sequences, self.prefer)
        if reason is None:
            return self.stand_in(layer, name, cells, sequences, initial_state, mask)
        self.left.append(Left(name, reason))
        return original(layer, sequences, initial_state, mask, training=training)

    def stand_in(self, layer, name, cells, sequences, initial_state, mask):
        mask, reset = mask if isinstance(mask, Steps) else (mask, None)
        mask = tree.flatten(mask)[0] if tree.is_nested(mask) else mask
        states = tree.flatten(initial_state)
        starts = tree.flatten(layer.start_states(initial_state)) if reset is not None else []
        site = Site(
            name=name,
            cells=cells,
            zero_states=[is_zero(s) for s in states],
            masked=mask is not None,
            resets=reset is not None,
            return_sequences=layer.return_sequences,
            go_backwards=layer.go_backwards,
            zero_output_for_mask=layer.zero_output_for_mask,
            batch=sequences.shape[0],
            length=sequences.shape[1],
            features=sequences.shape[-1],
            dtype=np.dtype(sequences.dtype.as_numpy_dtype),
            layer=layer,
        )
        self.sites.append(site)
        flags = [as_flags(f) for f in (mask, reset) if f is not None]
        given = [s for s, zero in zip(states, site.zero_states, strict=True) if not zero]
        arrays = [sequences, *(tf.cast(s, sequences.dtype) for s in given), *flags, *starts]
        y, *states = foreign_node(str(len(self.sites) - 1), arrays, shapes(site), sequences.dtype)
        last, outputs = (y[:, -1], y) if site.return_sequences else (y, y[:, None])
        return last, outputs, tree.pack_sequence_as(initial_state, states)


def as_flags(mask) -> tf.Tensor:
    """A mask [B, T], or [B, T, 1], as booleans [B, T]; the very same tensor if it is that, so that layers share it."""
    mask = tf.squeeze(mask, -1) if len(mask.shape) == 3 else mask
    return mask if mask.dtype == tf.bool else tf.cast(mask, tf.bool)


def foreign_node(token: str, arrays, shapes, dtype) -> list[tf.Tensor]:
    """The outputs of a node that tf2onnx carries through; an operation says their shapes, which freezing forgets."""
    outputs = tf.raw_ops.PyFunc(input=arrays, token=token, Tout=[dtype] * len(shapes))
    return [tf.ensure_shape(output, shape) for output, shape in zip(outputs, shapes, strict=True)]


def shapes(site: Site) -> list[tuple[int | None, ...]]:
    steps = (site.length,) if site.return_sequences else ()
    return [(site.batch, *steps, site.output_size), *((site.batch, n) for n in site.state_sizes)]


def is_zero(state: tf.Tensor) -> bool:
    """Whether a state is known to be zeros, so that no operator needs to be told."""
    filled = state.op.inputs[1] if state.op.type == "Fill" else state
    value = tf.get_static_value(filled)
    return value is not None and not np.any(value)


def stacked_cells(layer) -> list[Any]:
    """The cells of a layer, from the input up."""
    return list(layer.cell.cells) if isinstance(layer.cell, keras.layers.StackedRNNCells) else [layer.cell]


def equations(layer) -> list[Any]:
    """The layer's cells as ours, None for one that is no equation we know."""
    return [adopt(cell) for cell in stacked_cells(layer)]


def readable(layer, cells: list[Any], sequences, prefer: str) -> tuple[list[Any], str | None]:
    """The layer's cells as ours, or why we leave the layer as TensorFlow traces it."""
    if len(sequences.shape) != 3:
        return (
            cells,
            f"its cell {type(layer.cell).__name__} reads steps of rank {len(sequences.shape) - 1}, not vectors",
        )
    for cell, ours in zip(stacked_cells(layer), cells, strict=True):
        if ours is None:
            return cells, (
                f"{type(cell).__name__} has a `call` only; derived from rk.cells.Cell, with project, recur and gates, "
                "it would become a Scan"
            )
    features = sequences.shape[-1]
    for cell in cells:
        refusal = lowering.TABLE["Scan"].refusal(cell, lowering.Situation(features=features, prefer=prefer))
        if refusal:
            return cells, refusal
        features = cell.output_size
    if layer.unroll and layer.go_backwards and layer.zero_output_for_mask and not isinstance(layer, Recurrent):
        return cells, "Keras' unrolled loop zeroes other steps than its loop does when it goes backwards"
    return cells, None


# ---------------------------------------------------------------------- patching Keras while tracing


@contextlib.contextmanager
def patched(meetings: Meetings) -> Iterator[None]:
    """Inside, this thread's recurrent layers ask `meetings`; those of other threads run as ever."""
    owner = threading.get_ident()
    with LOCK, contextlib.ExitStack() as stack:
        for cls in PATCHED:
            original = vars(cls)["inner_loop"]
            stack.callback(setattr, cls, "inner_loop", original)
            cls.inner_loop = loop_in_place_of(original, meetings, owner)
        for name in ("_can_attempt_fused_lstm", "_can_attempt_fused_gru"):
            if name in vars(keras.layers.Bidirectional):
                stack.callback(setattr, keras.layers.Bidirectional, name, vars(keras.layers.Bidirectional)[name])
                setattr(keras.layers.Bidirectional, name, lambda *_, **__: False)
        original = keras.layers.TimeDistributed.call
        stack.callback(setattr, keras.layers.TimeDistributed, "call", original)
        keras.layers.TimeDistributed.call = rows_in_place_of(original, owner)
        yield


def loop_in_place_of(original: Callable, meetings: Meetings, owner: int) -> Callable:
    def inner_loop(self, sequences, initial_state, mask, training=False):
        if threading.get_ident() != owner:
            return original(self, sequences, initial_state, mask, training=training)
        return meetings.inner_loop(self, original, sequences, initial_state, mask, training)

    return inner_loop


def rows_in_place_of(original: Callable, owner: int) -> Callable:
    """TimeDistributed as one call on B * N rows: TensorFlow traces N calls, or a loop of unknown length.

    Exact for layers that treat each row by itself, which Keras' own and ours do when they do not train.
    """

    def call(self, inputs, training=None, mask=None):
        foreign = threading.get_ident() != owner or (mask is not None and len(mask.shape) < 3)
        if foreign or not all(treats_rows_alone(layer) for layer in self.layer._flatten_layers()):
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


# ---------------------------------------------------------------------- tf2onnx


def run_model(model, signature: Signature, inputs: list[Any], states: list[Any]) -> tuple[Any, list[Any]]:
    """The model's outputs, and its state variables after them, starting from `states` and changing nothing."""
    if not states:
        return signature.call(model, inputs), []
    with keras.StatelessScope(state_mapping=list(zip(signature.states, states, strict=True))) as scope:
        outputs = signature.call(model, inputs)
    return outputs, [scope.get_current_value(variable) for variable in signature.states]


def to_onnx(function: Callable, specs: list[tf.TensorSpec], opset: int) -> ModelProto:
    """The graph of `function`, a pure function of tensors, as tf2onnx writes it: foreign nodes and all."""
    try:
        with quiet():
            traced = tf.function(function, input_signature=specs, autograph=False)
            model, _ = tf2onnx.convert.from_function(traced, specs, opset=opset, custom_ops={"PyFunc": DOMAIN})
    except ExportError:
        raise
    except Exception as error:
        raise ExportError(
            f"The model could not be traced for export. {type(error).__name__}: {first_lines(error)} If its inputs are "
            "not what it was first called with, pass inputs=: arrays as the model takes them, or keras.InputSpec."
        ) from error
    return model


def first_lines(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) < 600 else text[:600] + " ..."


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the remarks of tf2onnx and TensorFlow, which concern none of our users' doings."""
    loggers = [logging.getLogger(name) for name in ("tf2onnx", "tensorflow")]
    children = [logging.getLogger(n) for n in logging.root.manager.loggerDict if n.startswith("tf2onnx")]
    levels = [(logger, logger.level) for logger in (*loggers, *children)]
    try:
        for logger, _ in levels:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in levels:
            logger.setLevel(level)

"""Stage one of an export: a model becomes a graph in which each recurrence is one foreign node.

While a model is traced, `inner_loop` of every recurrent layer, Keras' own included, writes a `PyFunc` with a token in
place of its loop; tf2onnx carries it through under a domain of ours, and `lowering` writes what it stands for.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import tree

from keras_rnnkit.export.lowering.equations import equations, refusal
from keras_rnnkit.export.lowering.recurrence import Recurrence
from keras_rnnkit.export.reading.hooks.layer_hooks import LayerHooks
from keras_rnnkit.export.reading.hooks.operations import TOKEN, check_lookups
from keras_rnnkit.layers.recurrent import Steps

UNTRACKED = "Keras does not track it; make it an attribute of the layer or model that calls it"


class TracedLoop(NamedTuple):
    """A recurrence that stays the loop that TensorFlow traces, and why."""

    name: str
    reason: str


class Tracing(LayerHooks):
    """Writes placeholder nodes.

    recurrences: what they stand for, by token; left: the recurrences that stay as TensorFlow traces them.
    """

    def __init__(self, layers: dict[str, Any], prefer: str = "auto"):
        super().__init__({id(layer): path for path, layer in layers.items()})
        self.prefer = prefer
        self.equations = {id(layer): equations(layer) for layer in layers.values()}  # tracing may make no variables
        self.recurrences: list[Recurrence] = []
        self.left: list[TracedLoop] = []

    def begin(self) -> None:
        super().begin()
        self.recurrences.clear()
        self.left.clear()

    def check_operations(self, model) -> None:
        super().check_operations(model)
        if not tf.executing_eagerly():
            check_lookups(model)

    def run_recurrence(self, layer, name, original, sequences, initial_state, mask, training):
        cells = self.equations.get(id(layer), [])
        reason = self.refusal(layer, cells, sequences) if cells else UNTRACKED
        if reason is None:
            return self.stand_in(layer, name, cells, sequences, initial_state, mask)
        self.left.append(TracedLoop(name, reason))
        return original(layer, sequences, initial_state, mask, training=training)

    def refusal(self, layer, cells, sequences) -> str | None:
        # What we make to look at the cell is no part of the graph, and weights that are inputs of the trace have their
        # values here.
        with tf.init_scope(), keras.StatelessScope():
            return refusal(layer, cells, len(sequences.shape), sequences.shape[-1], self.prefer)

    def stand_in(self, layer, name, cells, sequences, initial_state, mask):
        mask, reset = mask if isinstance(mask, Steps) else (mask, None)
        mask = tree.flatten(mask)[0] if tree.is_nested(mask) else mask
        states = [tf.convert_to_tensor(state) for state in tree.flatten(initial_state)]
        starts = tree.flatten(layer.start_states(initial_state)) if reset is not None else []
        recurrence = Recurrence(
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
        self.recurrences.append(recurrence)
        flags = [as_flags(f) for f in (mask, reset) if f is not None]
        nonzero = [s for s, zero in zip(states, recurrence.zero_states, strict=True) if not zero]
        arrays = [sequences, *(tf.cast(s, sequences.dtype) for s in nonzero), *flags, *starts]
        y, *states = foreign_node(f"{TOKEN}{len(self.recurrences) - 1}", arrays, shapes(recurrence), sequences.dtype)
        last, outputs = (y[:, -1], y) if recurrence.return_sequences else (y, y[:, None])
        return last, outputs, tree.pack_sequence_as(initial_state, states)


def as_flags(mask) -> tf.Tensor:
    """A mask [B, T], or [B, T, 1], as booleans [B, T]; the very same tensor if it is that, so that layers share it."""
    mask = tf.squeeze(mask, -1) if len(mask.shape) == 3 else mask
    return mask if mask.dtype == tf.bool else tf.cast(mask, tf.bool)


def foreign_node(token: str, arrays, shapes, dtype) -> list[tf.Tensor]:
    """The outputs of a node that tf2onnx carries through; an operation says their shapes, which freezing forgets."""
    outputs = tf.raw_ops.PyFunc(input=arrays, token=token, Tout=[dtype] * len(shapes))
    return [tf.ensure_shape(output, shape) for output, shape in zip(outputs, shapes, strict=True)]


def shapes(recurrence: Recurrence) -> list[tuple[int | None, ...]]:
    steps = (recurrence.length,) if recurrence.return_sequences else ()
    return [
        (recurrence.batch, *steps, recurrence.output_size),
        *((recurrence.batch, n) for n in recurrence.state_sizes),
    ]


def is_zero(state: tf.Tensor) -> bool:
    """Whether a state is known to be zeros, so that no operator needs to be told."""
    filled = state.op.inputs[1] if state.op.type == "Fill" else state
    value = tf.get_static_value(filled)
    return value is not None and not np.any(value)

"""A model over one chunk of a stream: what its layers would remember of earlier steps comes in and goes out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from keras_rnnkit import keras_internals
from keras_rnnkit.export.reading.hooks.layer_hooks import LayerHooks, hooked
from keras_rnnkit.export.reading.hooks.patches import PatchedAttribute, patched
from keras_rnnkit.export.reading.model_calls import State
from keras_rnnkit.export.reading.signature import Signature
from keras_rnnkit.layers.recurrent import Steps


class Carrier:
    """Hands each layer its state, in the order in which they ask, and takes back what they leave.

    carried: the states of the stream so far. None starts a stream; `states` then lists afterwards what it takes to
    continue it, and `refusals` why that cannot be.
    """

    def __init__(self, carried: list[Any] | None = None):
        self.carried = None if carried is None else iter(carried)
        self.states: list[State] = []
        self.left: list[Any] = []
        self.refusals: list[str] = []

    def take(self, layer: str, start: Any) -> Any:
        """The state of a layer that starts with the rows of `start` [B, ...]."""
        if self.carried is not None:
            return next(self.carried)
        array = ops.convert_to_numpy(start)
        self.states.append(State(layer, (None, *array.shape[1:]), str(array.dtype), array[0]))
        return start

    def leave(self, state: Any) -> None:
        self.left.append(state)


class Streaming(LayerHooks):
    """Gives recurrent layers their states from a carrier, then lets `inner` run them."""

    def __init__(self, inner: LayerHooks, carrier: Carrier):
        super().__init__(inner.names)
        self.inner = inner
        self.carrier = carrier

    def run_recurrence(self, layer, name, original, sequences, initial_state, mask, training):
        if self.inside_rows:  # the sequence inside one step of the stream
            return self.inner.run_recurrence(layer, name, original, sequences, initial_state, mask, training)
        flat = tree.flatten(initial_state)
        own = len(flat) - bool(getattr(layer.cell, "condition_size", None))
        states = [self.carrier.take(name, start) for start in self.starts(layer, name, flat[:own])]
        states = tree.pack_sequence_as(initial_state, [*states, *flat[own:]])
        last, outputs, after = self.inner.run_recurrence(layer, name, original, sequences, states, mask, training)
        for state in tree.flatten(after)[:own]:
            self.carrier.leave(state)
        flags = mask.mask if isinstance(mask, Steps) else mask
        if flags is not None and not layer.zero_output_for_mask:
            last, outputs = self.repeated(name, tree.flatten(flags)[0], last, outputs)
        return last, outputs, after

    def run_convolution(self, layer, original, inputs):
        """A causal convolution reads what went before the chunk in place of zeros."""
        reach = layer.dilation_rate[0] * (layer.kernel_size[0] - 1)
        if self.inside_rows or not reach or not can_stream(layer):
            return self.inner.run_convolution(layer, original, inputs)
        before = ops.zeros((ops.shape(inputs)[0], reach, inputs.shape[-1]), dtype=inputs.dtype)
        steps = ops.concatenate([self.carrier.take(self.name(layer), before), inputs], axis=1)
        self.carrier.leave(steps[:, -reach:])
        with without_padding(layer):
            return original(layer, steps)

    def starts(self, layer, name: str, states: list[Any]) -> list[Any]:
        """What a stream of this layer starts with; a refusal if that depends on the model's inputs."""
        if self.carrier.carried is not None:
            return states
        starts = tree.flatten(layer.get_initial_state(states[0].shape[0]))[: len(states)]
        if any(np.any(np.asarray(a) != np.asarray(b)) for a, b in zip(starts, states, strict=True)):
            self.carrier.refusals.append(
                f"the layer {name!r} gets its initial state from other layers, which would set it anew with every "
                "chunk. Export the part before it by itself, and this layer as a model of its own"
            )
        return starts

    def repeated(self, name: str, mask, last, outputs):
        """Until the first valid step of a chunk, a masked step repeats the last output of the chunks before."""
        before = self.carrier.take(name, ops.zeros_like(last))
        shown = ops.cumsum(ops.cast(ops.reshape(mask, ops.shape(mask)[:2]), "int32"), axis=1) > 0
        outputs = ops.where(per_step(shown, outputs), outputs, before[:, None])
        last = ops.where(per_step(shown[:, -1], last), last, before)
        self.carrier.leave(last)
        return last, outputs


def per_step(flags, like):
    """Flags with as many axes as what they choose from."""
    return ops.reshape(flags, (*ops.shape(flags), *[1] * (len(like.shape) - len(flags.shape))))


class StreamCall:
    """One chunk of any length; the states of all recurrent layers and causal convolutions go round outside."""

    mode = "stream"

    def __init__(self, model, signature: Signature, states: list[State]):
        self.model = model
        self.signature = signature
        self.states = states

    def run(self, inputs, states, hooks):
        return run(self.model, self.signature, inputs, Carrier(states), hooks)


def run(model, signature: Signature, inputs: list[Any], carrier: Carrier, hooks: LayerHooks):
    """The outputs for one chunk, and the states after it."""
    streaming = Streaming(hooks, carrier)
    hooks.begin()
    with hooked(streaming), forgetting(model):
        outputs = signature.call(model, inputs)
        hooks.check_operations(model)
    return outputs, carrier.left


@contextlib.contextmanager
def forgetting(model) -> Iterator[None]:
    """Inside, in this thread, stateful layers keep no states from call to call, nor the batch size they have."""
    layers = {id(layer) for layer in keras_internals.flatten_layers(model) if isinstance(layer, keras.layers.RNN)}

    def stateful(layer, value):
        return value and id(layer) not in layers

    with patched(lambda: iter([PatchedAttribute(keras.layers.RNN, "stateful", stateful)])):
        yield


def without_padding(layer):
    """Inside, this thread sees a causal convolution as one that adds no zeros in front of its steps."""

    def padding(each, value):
        return "valid" if each is layer else value

    return patched(lambda: iter([PatchedAttribute(keras.layers.Conv1D, "padding", padding)]))


def can_stream(layer) -> bool:
    return layer.padding == "causal" and layer.strides[0] == 1 and layer.data_format == "channels_last"

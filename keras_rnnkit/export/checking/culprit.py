"""In which layer a difference begins: the graph once more, with what every layer wrote as its outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from keras_rnnkit.export.reading.layer_hooks import LayerHooks
from keras_rnnkit.export.reading.model_calls import ModelCall
from keras_rnnkit.export.reading.names import layer_paths
from keras_rnnkit.export.reading.output_recorder import OutputRecorder


class EveryLayer:
    """A model_call that returns what the layers wrote, by numbers in the order in which they ended."""

    def __init__(self, model_call: ModelCall):
        self.model_call = model_call
        self.mode, self.model, self.signature, self.states = (
            model_call.mode,
            model_call.model,
            model_call.signature,
            model_call.states,
        )
        self.paths: list[str] = []

    def run(self, inputs: list[Any], states: list[Any], hooks: LayerHooks) -> tuple[Any, list[Any]]:
        recorder = OutputRecorder(layer_paths(self.model))
        with recorder.recording():
            _, after = self.model_call.run(inputs, states, hooks)
        self.paths = [call.path for call in recorder.calls]
        wrote = {
            f"{i:06d}_{j}": tensor
            for i, call in enumerate(recorder.calls)
            for j, tensor in enumerate(call.wrote)
            if belongs_here(tensor)
        }
        return wrote, after

    def path(self, name: str) -> str:
        return self.paths[int(name.split("_")[0])]


def belongs_here(tensor) -> bool:
    """Not to the graph inside a loop, which nobody outside can read."""
    return tf.executing_eagerly() or tensor.graph is tf.compat.v1.get_default_graph()


def first_difference(model_call: EveryLayer, expected: dict[str, Any], found: dict[str, Any], differs) -> str | None:
    """The layer that first wrote something else; `differs` measures two arrays, None where they agree."""
    for name in sorted(set(expected) & set(found)):
        error = differs(np.asarray(expected[name]), found[name])
        if error is not None:
            return f"It begins in the layer {model_call.path(name)!r}, whose output differs by {error:.3g}."
    return None

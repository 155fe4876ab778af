"""In which layer a difference begins: the graph once more, with what every layer wrote as its outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from keras_rnnkit.export.reading.call_signatures import Form
from keras_rnnkit.export.reading.layer_hooks import Meetings
from keras_rnnkit.export.reading.names import layer_paths
from keras_rnnkit.export.reading.output_recorder import Listener


class EveryLayer:
    """A form that returns what the layers wrote, by numbers in the order in which they ended."""

    def __init__(self, form: Form):
        self.form = form
        self.mode, self.model, self.signature, self.states = form.mode, form.model, form.signature, form.states
        self.paths: list[str] = []

    def run(self, inputs: list[Any], states: list[Any], meetings: Meetings) -> tuple[Any, list[Any]]:
        listener = Listener(layer_paths(self.model))
        with listener.listening():
            _, after = self.form.run(inputs, states, meetings)
        self.paths = [call.path for call in listener.calls]
        wrote = {
            f"{i:06d}_{j}": tensor
            for i, call in enumerate(listener.calls)
            for j, tensor in enumerate(call.wrote)
            if belongs_here(tensor)
        }
        return wrote, after

    def path(self, name: str) -> str:
        return self.paths[int(name.split("_")[0])]


def belongs_here(tensor) -> bool:
    """Not to the graph inside a loop, which nobody outside can read."""
    return tf.executing_eagerly() or tensor.graph is tf.compat.v1.get_default_graph()


def first_difference(form: EveryLayer, expected: dict[str, Any], found: dict[str, Any], differs) -> str | None:
    """The layer that first wrote something else; `differs` measures two arrays, None where they agree."""
    for name in sorted(set(expected) & set(found)):
        error = differs(np.asarray(expected[name]), found[name])
        if error is not None:
            return f"It begins in the layer {form.path(name)!r}, whose output differs by {error:.3g}."
    return None

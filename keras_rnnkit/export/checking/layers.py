"""What the recurrent layers of a model return in Keras, beside what their nodes return in the file."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import keras
import numpy as np

from keras_rnnkit.export.checking.comparison import Arrays
from keras_rnnkit.export.graph import Graph
from keras_rnnkit.export.reading.hooks.output_recorder import Call


def layer_tensors(graph: Graph, prefix: str = "") -> dict[str, str]:
    """The tensor of the file that holds the output of each recurrence, by the name of the recurrence.

    A stream shows the last output before a chunk at masked steps, behind the recurrence itself; those are left out.
    """
    chosen = graph.lowered
    if graph.model_call.mode == "stream":
        chosen = [x for x in chosen if not x.recurrence.masked or x.recurrence.zero_output_for_mask]
    return {lowered.recurrence.name: prefix + lowered.outputs[0] for lowered in chosen}


def expected_layers(graph: Graph, calls: list[Call]) -> Arrays:
    """What Keras' layers returned, by the name of the recurrence.

    Keras calls a layer inside TimeDistributed once for each step, the file once for all rows and steps.
    """
    by_layer: dict[int, list[np.ndarray]] = defaultdict(list)
    for call in calls:
        if call.wrote and is_eager(call.wrote[0]):
            by_layer[id(call.layer)].append(np.asarray(keras.ops.convert_to_numpy(call.wrote[0])))
    names_by_layer: dict[int, list[str]] = defaultdict(list)
    for recurrence in graph.recurrences:
        names_by_layer[id(recurrence.layer)].append(recurrence.name)
    expected: Arrays = {}
    for layer, names in names_by_layer.items():
        outputs = by_layer[layer]
        if len(names) == 1 and len(outputs) > 1 and graph.model_call.mode != "stream":
            outputs = [np.stack(outputs, axis=1).reshape(-1, *outputs[0].shape[1:])]
        if len(outputs) == len(names):
            expected |= dict(zip(names, outputs, strict=True))
    return expected


CLAMPING = ("LSTM", "GRU")
"""The operators that limit what goes into their gates, as onnxruntime writes them: NaN becomes a number there."""


def reading_nan(graph: Graph, calls: list[Call]) -> str:
    """A sentence about the first layer that reads NaN and whose operator would not show it; "" if there is none."""
    clamping = {id(x.recurrence.layer): x.lowerings for x in graph.lowered if set(x.lowerings) & set(CLAMPING)}
    for call in calls:
        if id(call.layer) in clamping and any(has_nan(x) for x in call.read):
            operator = next(name for name in clamping[id(call.layer)] if name in CLAMPING)
            return (
                f" The layer {call.path!r} reads NaN, for which onnxruntime's {operator} operator gives numbers and "
                "Keras NaN. Keep NaN out of the layer (the mean over a row without valid steps is NaN), or pass "
                "lowering='scan', which gives NaN too."
            )
    return ""


def has_nan(tensor: Any) -> bool:
    array = np.asarray(keras.ops.convert_to_numpy(tensor)) if is_eager(tensor) else np.zeros(0)
    return array.dtype.kind == "f" and bool(np.isnan(array).any())


def is_eager(tensor: Any) -> bool:
    return hasattr(tensor, "numpy")

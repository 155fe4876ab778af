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


def is_eager(tensor: Any) -> bool:
    return hasattr(tensor, "numpy")

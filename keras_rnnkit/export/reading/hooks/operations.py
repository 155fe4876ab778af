"""Operations of a traced model that no exported file can hold, and the layers they come from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.reading.names import layer_at
from keras_rnnkit.layers.traversal import inner_layers

PYTHON = ("PyFunc", "PyFuncStateless", "EagerPyFunc")
TOKEN = "keras_rnnkit:"
"""What the tokens of our own PyFunc begin with: those of TensorFlow's users begin with "pyfunc_"."""


def check_python_functions(model) -> None:
    """ExportError if the graph that is being traced calls Python, which exists in this process only."""
    for operation in operations(tf.compat.v1.get_default_graph()):
        if operation.type in PYTHON and not is_ours(operation):
            raise ExportError(
                f"{source(model, operation)} calls Python (tf.numpy_function or tf.py_function), which no exported "
                "file can do. Write it with keras.ops or TensorFlow operations, or do it before the model."
            )


def check_lookups(model) -> None:
    """ExportError if the graph that is being traced looks values up in tables, or works on strings."""
    for operation in operations(tf.compat.v1.get_default_graph()):
        if operation.type.startswith("LookupTable") or tf.string in [x.dtype for x in operation.inputs]:
            raise ExportError(
                f"{source(model, operation)} looks up tokens ({operation.type}), for which ONNX has no operator of "
                "tables or strings. Leave that layer out of the model: apply it before the model, whose input is then "
                "the token ids, keras.Input((None,), dtype='int32')."
            )


def is_ours(operation) -> bool:
    return operation.type == "PyFunc" and operation.get_attr("token").decode().startswith(TOKEN)


def source(model, operation) -> str:
    """The start of a sentence: the layer that an operation belongs to."""
    layers = dict(inner_layers(model))
    path = layer_at(operation.name, layers)
    if path is None:
        return f"The operation {operation.name!r} of the model {model.name!r}"
    return f"The layer {path!r} ({type(layers[path]).__name__})"


def operations(graph: Any) -> Iterator[Any]:
    """The operations of a graph, and of the functions inside it: bodies of loops, branches of conditions."""
    yield from graph.get_operations()
    for function in getattr(graph, "_functions", {}).values():
        inner = getattr(function, "graph", None)
        if inner is not None:
            yield from operations(inner)

"""Which kernel runs each recurrent layer, and why not a faster one; what becomes of it when it is exported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import keras

from keras_rnnkit import keras_internals, kernels
from keras_rnnkit.conversion.counterparts import reason_to_keep
from keras_rnnkit.layers.recurrent import Recurrent
from keras_rnnkit.layers.traversal import recurrent_layers


@dataclass(frozen=True)
class Row:
    """One recurrent layer of a model.

    layer: its path in the model. cell: the class of its cell.
    kernel: "cudnn", "parallel", "hoisted", "scan" or "Keras' own".
    onnx: the operators that it becomes when the model is exported. streams: whether it can read a sequence in chunks.
    reason: why it is not on a faster kernel.
    """

    layer: str
    cell: str
    kernel: str
    onnx: str
    streams: str
    reason: str


def explain(model: Any, print_fn: Callable[[str], Any] | None = print) -> list[Row]:
    """Print a table of a model's recurrent layers.

    The table tells for each layer which kernel runs it on this machine and why not a faster one, which ONNX operators
    it becomes, and whether it can run on a stream, chunk by chunk. Nothing of the model is run or changed.

    Arguments:
        model: a Keras model or layer; layers inside wrappers and nested models are found.
        print_fn: called with each line of the table; None prints nothing.

    Returns a list with a `Row` for each recurrent layer, with the columns of the table as attributes.

    >>> import keras_rnnkit as rk
    >>> model = keras.Sequential([keras.Input((None, 8)), rk.GRU(16, name="reader"), keras.layers.Dense(2)])
    >>> (row,) = rk.explain(model, print_fn=None)
    >>> row.layer, row.kernel, row.onnx, row.streams
    ('reader', 'hoisted', 'GRU', 'yes')
    """
    if not isinstance(model, keras.layers.Layer):
        raise ValueError(f"explain takes a Keras model or layer. Received: {type(model).__name__}.")
    rows = [described(path, layer) for path, layer in recurrent_layers(model)]
    if print_fn:
        for line in table(rows) if rows else [f"{model.name!r} has no recurrent layer."]:
            print_fn(line)
    return rows


def described(path: str, layer) -> Row:
    cell, masked = type(layer.cell).__name__, receives_mask(layer)
    exported = (operator_of(layer), "no" if layer.go_backwards else "yes")
    if not isinstance(layer, Recurrent):
        reason = reason_to_keep(layer) or "a stock layer; rk.convert(model) gives it our kernels"
        return Row(path, cell, "Keras' own", *exported, reason)
    call = kernels.CallFlags(masked, length=known_size(layer, 1), batch=known_size(layer, 0))
    name, reason = kernels.describe(layer, call)
    return Row(path, cell, name, *exported, reason)


def operator_of(layer) -> str:
    """The ONNX operators that its cells become, or why that is not known."""
    if not layer.built:
        return "not built"
    try:
        from keras_rnnkit.export.lowering.equations import lowerings_of
    except ModuleNotFoundError:  # the packages for export are an extra
        return "not installed"
    return ", ".join(lowerings_of(layer)) or "as traced"


def receives_mask(layer) -> bool:
    """Whether a mask reaches the layer in the model it is part of, as far as its graph tells."""
    return any(keras_internals.keras_mask(x) is not None for x in keras_internals.graph_inputs(layer))


def known_size(layer, axis: int) -> int | None:
    """The rows (axis 0) or steps (axis 1) that the layer runs in the model it is part of, where its graph tells."""
    sizes = {x.shape[axis] for x in keras_internals.graph_inputs(layer) if len(x.shape) == 3}
    return sizes.pop() if len(sizes) == 1 else None


def table(rows: list[Row]) -> list[str]:
    """The rows as lines of text, columns aligned."""
    cells = [[field.name for field in fields(Row)], *([getattr(r, f.name) for f in fields(Row)] for r in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return [lines[0], "-" * len(lines[0]), *lines[1:]]

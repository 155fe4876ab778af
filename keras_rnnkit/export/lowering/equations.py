"""A layer's cells as equations of ours, and why a layer has none."""

from __future__ import annotations

from typing import Any

import keras

from keras_rnnkit import keras_internals
from keras_rnnkit.cells.adopt import adopt
from keras_rnnkit.export.lowering import operators as lowering
from keras_rnnkit.export.lowering.operators.scan import unknown_activation
from keras_rnnkit.layers.recurrent import Recurrent


def stacked_cells(layer) -> list[Any]:
    """The cells of a layer, from the input up."""
    return list(layer.cell.cells) if isinstance(layer.cell, keras.layers.StackedRNNCells) else [layer.cell]


def equations(layer) -> list[Any]:
    """The layer's cells as ours, None for one that is no equation we know."""
    return [None if unknown_activation(cell) else adopt(cell) for cell in stacked_cells(layer)]


def refusal(layer, cells: list[Any], rank: int, features: int, prefer: str) -> str | None:
    """Why we leave a layer with such inputs as TensorFlow traces it, or None."""
    if rank != 3:
        return f"its cell {type(layer.cell).__name__} reads steps of rank {rank - 1}, not vectors"
    for cell, ours in zip(stacked_cells(layer), cells, strict=True):
        if ours is None:
            return unknown_activation(cell) or (
                f"{type(cell).__name__} has a `call` only; derived from rk.cells.Cell, with project, recur and gates, "
                "it would become a Scan"
            )
    for cell in cells:
        sentence = lowering.TABLE["Scan"].refusal(cell, lowering.LoweringContext(features=features, prefer=prefer))
        if sentence:
            return sentence
        features = cell.output_size
    if layer.unroll and layer.go_backwards and layer.zero_output_for_mask and not isinstance(layer, Recurrent):
        return "Keras' unrolled loop zeroes other steps than its loop does when it goes backwards"
    return None


def shape_of(layer) -> tuple[Any, ...]:
    """The shape of the sequences it was built for; a converted layer knows of it by its weights alone."""
    shapes = keras_internals.build_shapes_dict(layer)
    if shapes:
        return tuple(next(iter(shapes.values())))
    return None, None, stacked_cells(layer)[0].kernel.shape[0]


def lowerings_of(layer) -> list[str]:
    """The names of the lowerings that a built layer's cells get; none for a layer that stays as it is."""
    shape = shape_of(layer)
    cells, features, names = equations(layer), shape[-1], []
    if refusal(layer, cells, len(shape), features, "auto"):
        return []
    for cell in cells:
        names.append(lowering.choose(cell, lowering.LoweringContext(features=features)).name)
        features = cell.output_size
    return names

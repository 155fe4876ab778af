"""Our cell for each of Keras' own cells."""

from __future__ import annotations

from typing import Any

import keras

from keras_rnnkit.cells.base import Cell, argument_names
from keras_rnnkit.cells.gru import GRUCell
from keras_rnnkit.cells.lstm import LSTMCell
from keras_rnnkit.cells.vanilla import VanillaCell

COUNTERPARTS: dict[type, type[Cell]] = {
    keras.layers.SimpleRNNCell: VanillaCell,
    keras.layers.LSTMCell: LSTMCell,
    keras.layers.GRUCell: GRUCell,
}


def adopt(cell: Any) -> Cell | None:
    """Our cell for a Keras cell, with the same variables; None where there is none (a user's own class).

    A subclass of a Keras cell may compute anything, so only the exact classes are adopted.
    """
    if isinstance(cell, Cell):
        return cell
    counterpart = COUNTERPARTS.get(type(cell))
    if counterpart is None:
        return None
    # Read from the attributes, because a config cannot hold lambdas and functions that are not registered.
    arguments = {name: getattr(cell, name) for name in argument_names(counterpart) if hasattr(cell, name)}
    ours = counterpart(**arguments, name=cell.name, dtype=cell.dtype_policy, trainable=cell.trainable)
    if cell.built:
        share_variables(cell, ours)
    return ours


def share_variables(cell, ours: Cell) -> None:
    """Make `ours` hold the variables of `cell` instead of its own."""
    for name in ("kernel", "recurrent_kernel", "bias"):
        setattr(ours, name, getattr(cell, name))
    if isinstance(ours, LSTMCell):
        ours.projection_kernel = None
    ours.built = True

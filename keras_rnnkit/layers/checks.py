"""Checks of what a call receives, made before anything is computed.

Errors say what was received, what was expected, and the remedy.
"""

from __future__ import annotations

import keras
from keras import tree


def cells(layer, cell) -> None:
    """Refuse layers where cells are expected: a cell computes one step, a layer whole sequences."""
    for each in cell if isinstance(cell, list | tuple) else [cell]:
        if isinstance(each, keras.layers.RNN):
            raise ValueError(
                f"{type(layer).__name__} runs a cell over a sequence. Received: the layer {each.name!r}, which does so "
                f"already. Use that layer itself, or pass its cell, {type(each.cell).__name__}(...). To put layers on "
                "top of each other use rk.Stack."
            )


def sequences(layer, shape) -> None:
    if shape is None or len(shape) == 3:
        return
    if len(shape) < 3:
        raise ValueError(
            f"Layer {layer.name!r} expects sequences of shape [batch, time, features]. Received: shape={tuple(shape)}. "
            "For token ids put keras.layers.Embedding before it; for one number a step add the axis with x[..., None]."
        )
    if getattr(layer, "equation", None) is not None:  # a cell of the user's own may take steps of any shape
        raise ValueError(
            f"Layer {layer.name!r} expects sequences of shape [batch, time, features]. Received: shape={tuple(shape)}. "
            "Join the axes behind the second one, for example with "
            "keras.layers.TimeDistributed(keras.layers.Flatten())."
        )


def numbers(layer, dtype) -> None:
    dtype = keras.backend.standardize_dtype(dtype)
    if not (dtype == "bool" or "float" in dtype or "int" in dtype):
        raise ValueError(
            f"Layer {layer.name!r} computes with real numbers. Received: sequences of dtype {dtype}. Convert them to "
            "float32 first; a complex number is two features, its real and its imaginary part."
        )


def features(layer, shape, width: int | None) -> None:
    if width is not None and shape[-1] is not None and shape[-1] != width:
        raise ValueError(
            f"Layer {layer.name!r} was built for {width} features a step. Received: {shape[-1]} features, "
            f"shape={tuple(shape)}. Feed [batch, time, {width}], or make a new layer for this input."
        )


def states(layer, initial_state, batch: int | None = None) -> None:
    """The number of states and the shape of each. `batch` is the number of rows of the sequences, where it is known."""
    arrays, sizes = tree.flatten(initial_state), tree.flatten(layer.state_size)
    if len(arrays) != len(sizes):
        raise ValueError(
            f"Layer {layer.name!r} has {len(sizes)} state(s) of size {sizes}. Received: initial_state with "
            f"{len(arrays)}. Pass a list with one array [batch, size] for each."
        )
    for i, (state, size) in enumerate(zip(arrays, sizes, strict=True)):
        shape = getattr(state, "shape", None)
        if shape is not None and len(shape):
            state_shape(layer, i, tuple(shape), size, batch)


def state_shape(layer, i: int, shape, size: int, batch: int | None) -> None:
    received = f"Received: initial_state[{i}] of shape {shape}."
    if shape[-1] is not None and shape[-1] != size:
        raise ValueError(
            f"Layer {layer.name!r}: state {i} has size {size}. {received} "
            f"Pass an array [batch, {size}], or set the layer's units to {shape[-1]}."
        )
    if len(shape) == 1:
        raise ValueError(
            f"Layer {layer.name!r}: state {i} needs the axes [batch, {size}]. {received} "
            "For the same start of all rows add an axis of one row with state[None]."
        )
    if None not in (batch, shape[0]) and shape[0] not in (1, batch):
        raise ValueError(
            f"Layer {layer.name!r}: the sequences have {batch} rows and state {i} has {shape[0]}. {received} "
            f"Pass one state for each row, [{batch}, {size}], or a single row that all of them start from."
        )


def flags(layer, name: str, shape, sequences_shape) -> None:
    """A mask or reset flags: one for each row and step."""
    expected = tuple(sequences_shape[:2])
    fits = len(shape) == 2 and all(None in (a, b) or a == b for a, b in zip(shape, expected, strict=True))
    if not fits:
        raise ValueError(
            f"Layer {layer.name!r}: `{name}` needs one value for each row and step, shape [batch, time] = {expected}. "
            f"Received: {name} of shape {tuple(shape)}."
        )

"""What a call brings, checked before anything is computed: what came, what was expected, what to do."""

from __future__ import annotations

from keras import tree


def sequences(layer, shape) -> None:
    if shape is not None and len(shape) < 3:
        raise ValueError(
            f"Layer {layer.name!r} expects sequences of shape [batch, time, features]. Received: shape={tuple(shape)}. "
            "For token ids put keras.layers.Embedding before it; for one number a step add the axis with x[..., None]."
        )


def features(layer, shape, width: int | None) -> None:
    if width is not None and shape[-1] is not None and shape[-1] != width:
        raise ValueError(
            f"Layer {layer.name!r} was built for {width} features a step. Received: {shape[-1]} features, "
            f"shape={tuple(shape)}. Feed [batch, time, {width}], or make a new layer for this input."
        )


def states(layer, initial_state) -> None:
    given, expected = tree.flatten(initial_state), tree.flatten(layer.state_size)
    if len(given) != len(expected):
        raise ValueError(
            f"Layer {layer.name!r} has {len(expected)} state(s) of size {expected}. Received: initial_state with "
            f"{len(given)}. Pass a list with one array [batch, size] for each."
        )
    for i, (state, size) in enumerate(zip(given, expected, strict=True)):
        shape = getattr(state, "shape", None)
        if shape is not None and len(shape) and shape[-1] is not None and shape[-1] != size:
            raise ValueError(
                f"Layer {layer.name!r}: state {i} has size {size}. Received: initial_state[{i}] of shape "
                f"{tuple(shape)}. Pass an array [batch, {size}], or set the layer's units to {shape[-1]}."
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

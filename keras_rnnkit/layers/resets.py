"""`reset_mask` on its way to the layers inside a layer."""

from __future__ import annotations

import inspect
from typing import Any

from keras import ops


def arguments(owner, layer, reset_mask) -> dict[str, Any]:
    """The keyword argument that passes `reset_mask` on to `layer`; nothing where there is no mask."""
    if reset_mask is None:
        return {}
    if "reset_mask" not in inspect.signature(layer.call).parameters:
        raise ValueError(
            f"Layer {owner.name!r} received `reset_mask`, but {layer.name!r} inside it is a {type(layer).__name__} "
            "that cannot restart a row inside its sequence. Use a layer of keras_rnnkit there, or rk.convert(model)."
        )
    return {"reset_mask": reset_mask}


def for_backward_layer(reset_mask):
    """The mask [B, T] for a layer that reads from the end: a sequence that begins at t is cut off before t - 1."""
    reset_mask = ops.cast(reset_mask, "bool")
    return ops.concatenate([reset_mask[:, 1:], ops.zeros_like(reset_mask[:, :1])], axis=1)

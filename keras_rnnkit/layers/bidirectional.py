"""A layer and its mirror image in time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops, tree

from keras_rnnkit import keras_internals
from keras_rnnkit.layers import checks, configs, resets

MERGES: dict[str | None, Callable[[Any, Any], Any]] = {
    "concat": lambda a, b: ops.concatenate([a, b], axis=-1),
    "sum": ops.add,
    "mul": ops.multiply,
    "ave": lambda a, b: (a + b) / 2,
    None: lambda a, b: (a, b),
}


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class Bidirectional(keras_internals.FusionChoice, keras.layers.Bidirectional):
    """Two layers over one sequence, one from each end: `keras.layers.Bidirectional` for more layers and masks.

        y_t = merge(forward_t, backward_t)      merge_mode: "concat", "sum", "mul", "ave", or None for both

    Paper: M. Schuster and K. Paliwal, 1997.

    Arguments:
        layer: the layer that reads from the first step on: any recurrent layer of ours or of Keras, a `Stack` or a
            `Residual`. Both directions are new layers with its config.
        merge_mode: how the two outputs become one: "concat" (side by side), "sum", "mul", "ave" (their mean), or None
            for both, one after the other.
        weights: the first values of the variables, those of the forward layer first.
        backward_layer: the layer that reads from the end, with go_backwards=True; if left out, a copy of `layer`.
        name, dtype, trainable: as in any Keras layer.

    Call arguments:
        sequences: [B, T, D].
        initial_state: the forward layer's states, then the backward layer's.
        mask: booleans [B, T]; steps where it is false leave the states as they are.
        training: whether dropout is active.
        reset_mask: booleans [B, T]; where true, a new sequence begins inside the row, and no state crosses its border.

    Returns the merged outputs, [B, T, ...] with return_sequences=True in `layer`, otherwise [B, ...] from the last
    step that each direction reads; with return_state=True followed by the states of both.

    >>> import keras_rnnkit as rk
    >>> Bidirectional(rk.LSTM(8, return_sequences=True), merge_mode="sum")(keras.ops.ones([2, 5, 3])).shape
    TensorShape([2, 5, 8])
    """

    def __init__(self, layer, merge_mode="concat", weights=None, backward_layer=None, **kwargs):
        name = getattr(layer, "name", layer)
        with configs.explained(f"Bidirectional makes both directions from the config of {name!r}, which"):
            super().__init__(layer, merge_mode=merge_mode, weights=weights, backward_layer=backward_layer, **kwargs)
        self.supports_masking = True

    @property
    def state_size(self):
        return [*tree.flatten(self.forward_layer.state_size), *tree.flatten(self.backward_layer.state_size)]

    @property
    def states(self):
        """The carried states of a stateful layer, forward then backward; None before it is built."""
        states = [self.forward_layer.states, self.backward_layer.states]
        return None if any(each is None for each in states) else tree.flatten(states)

    def call(self, sequences, initial_state=None, mask=None, training=None, reset_mask=None):
        if initial_state is not None and len(initial_state) != len(self.state_size):
            raise ValueError(
                f"Layer {self.name!r} has {len(self.state_size)} states, half for each direction. Received: "
                f"initial_state with {len(initial_state)}. Pass the forward layer's states, then the backward's."
            )
        if reset_mask is None:
            return super().call(sequences, initial_state=initial_state, mask=mask, training=training)
        checks.flags(self, "reset_mask", ops.shape(reset_mask), sequences.shape)
        return self._call_with_resets(sequences, initial_state, mask, training, reset_mask)

    def _call_with_resets(self, sequences, initial_state, mask, training, reset_mask):
        """The same as Keras' `call`, with one argument more for the layers of both directions."""
        half = len(initial_state) // 2 if initial_state is not None else 0
        first = initial_state[:half] if half else None
        second = initial_state[half:] if half else None
        flags = {"mask": mask, "training": training}
        forward_resets = resets.arguments(self, self.forward_layer, reset_mask)
        backward_resets = resets.arguments(self, self.backward_layer, resets.for_backward_layer(reset_mask))
        y = self.forward_layer(sequences, initial_state=first, **flags, **forward_resets)
        y_backward = self.backward_layer(sequences, initial_state=second, **flags, **backward_resets)
        states: tuple = ()
        if self.return_state:
            states, y, y_backward = (*y[1:], *y_backward[1:]), y[0], y_backward[0]
        if self.return_sequences:
            y_backward = ops.flip(y_backward, axis=1)
        merged = MERGES[self.merge_mode](ops.cast(y, self.compute_dtype), ops.cast(y_backward, self.compute_dtype))
        outputs = merged if self.merge_mode is None else (merged,)
        return (*outputs, *states) if self.return_state else merged

    def may_fuse(self):
        """Whether neither layer uses an argument of ours alone, which Keras' fused layer would ignore."""
        return all(
            getattr(layer, "kernel", "auto") in ("auto", "cudnn")
            and not getattr(layer, "learn_initial_state", False)
            and not getattr(layer, "projection", None)
            for layer in (self.forward_layer, self.backward_layer)
        )

    def compute_mask(self, sequences, mask=None):
        """The masks of the outputs. Keras' method fails for stateful layers that return their states."""
        mask = tree.flatten(mask)[0] if tree.is_nested(mask) else mask
        mask = mask if self.return_sequences else None
        merged = (mask,) if self.merge_mode else (mask, mask)
        if self.return_state:
            return (*merged, *[None] * len(self.state_size))
        return mask if self.merge_mode else merged

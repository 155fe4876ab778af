"""A layer and its mirror image in time."""

from __future__ import annotations

import keras
from keras import tree

from keras_rnnkit import keras_internals


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class Bidirectional(keras_internals.FusionChoice, keras.layers.Bidirectional):
    """Two layers over one sequence, one from each end: `keras.layers.Bidirectional`, with its masks mended.

        y_t = merge(forward_t, backward_t)      merge_mode: "concat", "sum", "mul", "ave", or None for both

    Paper: M. Schuster and K. Paliwal, 1997. Takes any recurrent layer of ours or of Keras, `Stack` included.

    >>> import keras_rnnkit as rk
    >>> Bidirectional(rk.LSTM(8, return_sequences=True), merge_mode="sum")(keras.ops.ones([2, 5, 3])).shape
    TensorShape([2, 5, 8])
    """

    def __init__(self, layer, merge_mode="concat", weights=None, backward_layer=None, **kwargs):
        super().__init__(layer, merge_mode=merge_mode, weights=weights, backward_layer=backward_layer, **kwargs)
        self.supports_masking = True

    @property
    def state_size(self):
        return [*tree.flatten(self.forward_layer.state_size), *tree.flatten(self.backward_layer.state_size)]

    def call(self, sequences, initial_state=None, mask=None, training=None):
        if initial_state is not None and len(initial_state) != len(self.state_size):
            raise ValueError(
                f"Layer {self.name!r} has {len(self.state_size)} states, half for each direction. Received: "
                f"initial_state with {len(initial_state)}. Pass the forward layer's states, then the backward's."
            )
        return super().call(sequences, initial_state=initial_state, mask=mask, training=training)

    def may_fuse(self):
        """Only where the layers use none of the arguments that Keras does not have: it would ignore them."""
        return all(
            getattr(layer, "kernel", "auto") in ("auto", "cudnn")
            and not getattr(layer, "learn_initial_state", False)
            and not getattr(layer, "projection", None)
            for layer in (self.forward_layer, self.backward_layer)
        )

    def compute_mask(self, sequences, mask=None):
        """Keras' own fails for stateful layers that return their states."""
        mask = tree.flatten(mask)[0] if tree.is_nested(mask) else mask
        mask = mask if self.return_sequences else None
        merged = (mask,) if self.merge_mode else (mask, mask)
        if self.return_state:
            return (*merged, *[None] * len(self.state_size))
        return mask if self.merge_mode else merged

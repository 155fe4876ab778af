"""A layer with a skip connection."""

from __future__ import annotations

import keras
from keras import ops

from keras_rnnkit.layers import resets

RECURRENT_ATTRIBUTES = ("return_sequences", "return_state", "stateful")


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class Residual(keras.layers.Wrapper):
    """A recurrent layer with a skip connection: y = x + layer(x).

    Paper: K. He, Deep residual learning, 2015; in recurrent stacks Y. Wu, 2016. Through the sum the gradient
    also reaches the input unchanged, without passing the layer.

    Arguments:
        layer: a recurrent layer (or a `Bidirectional`, or a `Stack`) with return_sequences=True whose output is as
            wide as its input.
        go_backwards: read the sequence from its end, as the layer itself does with go_backwards=True; if left out,
            the layer's own setting. The output then begins with the last step, and so does the input added to it.
        name, dtype, trainable: as in any Keras layer.

    Call arguments:
        sequences: [B, T, D].
        initial_state: the layer's first states, in its own order.
        mask: booleans [B, T]; steps where it is false leave the states as they are, and their input is still added.
        training: whether dropout is active.
        reset_mask: booleans [B, T]; where true, a row's states start anew before that step.

    Returns [B, T, D], followed by the layer's states if it has return_state=True.

    >>> import keras_rnnkit as rk
    >>> Residual(rk.GRU(3, return_sequences=True))(keras.ops.ones([2, 5, 3])).shape
    TensorShape([2, 5, 3])
    """

    def __init__(self, layer, go_backwards=None, **kwargs):
        check_layer(layer)
        super().__init__(layer, **kwargs)
        if go_backwards is not None and go_backwards != self.go_backwards:
            set_direction(layer, go_backwards)
        self.supports_masking = True
        self.input_spec = None

    def build(self, sequences_shape, initial_state_shape=None):
        if not self.layer.built:
            self.layer.build(sequences_shape)
            self.layer.built = True
        output, *_ = as_tuple(self.layer, self.layer.compute_output_shape(sequences_shape))
        if output[-1] != sequences_shape[-1]:
            raise ValueError(
                f"Residual adds input and output, which must be equally wide. Received: {sequences_shape[-1]} input "
                f"features and {output[-1]} from layer {self.layer.name!r}. Set its units to {sequences_shape[-1]}, "
                "or put keras.layers.Dense before it."
            )

    def call(self, sequences, initial_state=None, mask=None, training=False, reset_mask=None):
        output, *states = as_tuple(
            self.layer,
            self.layer(
                sequences,
                initial_state=initial_state,
                mask=mask,
                training=training,
                **resets.arguments(self, self.layer, reset_mask),
            ),
        )
        # With go_backwards the outputs come last step first, so the inputs must too.
        around = ops.flip(sequences, axis=1) if self.go_backwards else sequences
        return like(self.layer, [ops.add(around, output), *states])

    def compute_output_shape(self, sequences_shape, initial_state_shape=None):
        return self.layer.compute_output_shape(sequences_shape)

    def compute_mask(self, sequences, mask=None):
        return self.layer.compute_mask(sequences, mask)

    @property
    def go_backwards(self):
        return getattr(self.layer, "go_backwards", False)

    @property
    def return_sequences(self):
        return True

    @property
    def return_state(self):
        return self.layer.return_state

    @property
    def state_size(self):
        return self.layer.state_size

    @property
    def zero_output_for_mask(self):
        return getattr(self.layer, "zero_output_for_mask", False)

    @zero_output_for_mask.setter
    def zero_output_for_mask(self, value):
        self.layer.zero_output_for_mask = value

    @property
    def stateful(self):
        return self.layer.stateful

    @property
    def states(self):
        return self.layer.states

    def reset_state(self):
        self.layer.reset_state()

    reset_states = reset_state


def check_layer(layer) -> None:
    if not isinstance(layer, keras.layers.Layer) or not all(hasattr(layer, name) for name in RECURRENT_ATTRIBUTES):
        raise ValueError(
            "Residual takes a recurrent layer such as rk.GRU(64, return_sequences=True). "
            f"Received: {layer!r}. Around any other layer write x + layer(x)."
        )
    if not layer.return_sequences:
        raise ValueError(
            f"Residual adds the input to every step's output, but layer {layer.name!r} returns only its last. "
            "Received: return_sequences=False. Set return_sequences=True."
        )


def set_direction(layer, go_backwards: bool) -> None:
    """Set the direction in which a layer reads, before the layer is first called."""
    if not hasattr(layer, "go_backwards"):
        raise ValueError(
            f"Residual cannot read backwards with {layer.name!r}, because a {type(layer).__name__} has no direction of "
            "its own. Leave go_backwards out, or put Bidirectional around a layer that reads one way."
        )
    if isinstance(layer, Residual):
        set_direction(layer.layer, go_backwards)
    else:
        layer.go_backwards = go_backwards


def as_tuple(layer, outputs):
    """The outputs of a recurrent layer, states included, as a tuple."""
    return tuple(outputs) if getattr(layer, "return_state", False) else (outputs,)


def like(layer, outputs):
    """The reverse of `as_tuple`."""
    return tuple(outputs) if getattr(layer, "return_state", False) else outputs[0]

"""A layer whose output has its input added."""

from __future__ import annotations

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class Residual(keras.layers.Wrapper):
    """A recurrent layer with a way around it: y = x + layer(x).

    Paper: K. He, Deep residual learning, 2015; in recurrent stacks Y. Wu, 2016. The gradient passes the layer
    unchanged along the sum, whatever the layer does to it.

    Arguments:
        layer: a recurrent layer (or a `Bidirectional`, or a `Stack`) with return_sequences=True whose output is as
            wide as its input.

    Call arguments are the layer's; with return_state=True its states follow the output.

    >>> import keras_rnnkit as rk
    >>> Residual(rk.GRU(3, return_sequences=True))(keras.ops.ones([2, 5, 3])).shape
    TensorShape([2, 5, 3])
    """

    def __init__(self, layer, **kwargs):
        super().__init__(layer, **kwargs)
        if not getattr(layer, "return_sequences", True):
            raise ValueError(
                f"Residual adds the input to every step's output, but layer {layer.name!r} returns only its last. "
                "Received: return_sequences=False. Set return_sequences=True."
            )
        self.supports_masking = True

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

    def call(self, sequences, initial_state=None, mask=None, training=False, **kwargs):
        output, *states = as_tuple(
            self.layer,
            self.layer(sequences, initial_state=initial_state, mask=mask, training=training, **kwargs),
        )
        return like(self.layer, [ops.add(sequences, output), *states])

    def compute_output_shape(self, sequences_shape, initial_state_shape=None):
        return self.layer.compute_output_shape(sequences_shape)

    def compute_mask(self, sequences, mask=None):
        return self.layer.compute_mask(sequences, mask)

    @property
    def return_sequences(self):
        return True

    @property
    def return_state(self):
        return self.layer.return_state

    @property
    def stateful(self):
        return self.layer.stateful

    @property
    def states(self):
        return self.layer.states

    def reset_state(self):
        self.layer.reset_state()

    reset_states = reset_state


def as_tuple(layer, outputs):
    """The outputs of a recurrent layer, states included, as a tuple."""
    return tuple(outputs) if getattr(layer, "return_state", False) else (outputs,)


def like(layer, outputs):
    """The reverse of `as_tuple`."""
    return tuple(outputs) if getattr(layer, "return_state", False) else outputs[0]

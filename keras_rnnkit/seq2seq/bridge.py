"""The first states of a decoder, from the last states of an encoder."""

from __future__ import annotations

import itertools

import keras
from keras import ops

KINDS = ("auto", "pass", "dense", "zeros")


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class Bridge(keras.layers.Layer):
    """A decoder's first states, from all last states of an encoder, v = [h_1; h_2; ...].

        pass: s_i = h_i          dense: s_i = tanh(W_i v + b_i)          zeros: s_i = 0

    Paper: D. Bahdanau, 2015, appendix A.2.2, which uses "dense" on the backward state alone.

    Shapes: the states of the encoder, a list of [B, any size]; the result, a list of [B, size].

    Arguments:
        sizes: widths of the decoder's states.
        kind: one of the three, or "auto", which is "pass" where both sides have states of the same widths and "dense"
            elsewhere, as for the two directions of a bidirectional encoder.

    >>> [s.shape for s in Bridge([3, 2])([keras.ops.ones([4, 5])])]
    [TensorShape([4, 3]), TensorShape([4, 2])]
    """

    def __init__(self, sizes, kind: str = "auto", **kwargs):
        super().__init__(**kwargs)
        if kind not in KINDS:
            raise ValueError(f"bridge must be one of {', '.join(map(repr, KINDS))}. Received: bridge={kind!r}.")
        self.sizes, self.kind = [int(size) for size in sizes], kind

    def build(self, states_shape):
        widths = [shape[-1] for shape in states_shape]
        if self.kind == "pass" and widths != self.sizes:
            raise ValueError(
                f"The encoder's last states are {widths} wide and the decoder's first {self.sizes}, so they cannot be "
                "passed on. Use bridge='dense', or make them equal."
            )
        self.dense = self.kind == "dense" or (self.kind == "auto" and widths != self.sizes)
        if not self.dense:
            return
        self.kernel = self.add_weight(name="kernel", shape=(sum(widths), sum(self.sizes)))
        self.bias = self.add_weight(name="bias", shape=(sum(self.sizes),), initializer="zeros")

    def call(self, states):
        if self.kind == "zeros":
            return [ops.zeros((ops.shape(states[0])[0], size), dtype=self.compute_dtype) for size in self.sizes]
        if not self.dense:
            return list(states)
        v = ops.concatenate(list(states), axis=-1)
        s, ends = ops.tanh(ops.matmul(v, self.kernel) + self.bias), list(itertools.accumulate(self.sizes))
        return [s[:, end - size : end] for size, end in zip(self.sizes, ends, strict=True)]

    def get_config(self):
        return {**super().get_config(), "sizes": self.sizes, "kind": self.kind}

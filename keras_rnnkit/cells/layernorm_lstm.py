"""LSTM with layer normalisation of its products and of its memory."""

from __future__ import annotations

import keras

from keras_rnnkit.cells.arguments import positive_number
from keras_rnnkit.cells.lstm import LSTMCell


def normalise(ops, x, epsilon):
    """(x - mean) / deviation along the last axis, computed in float32 at least, as in Keras' LayerNormalization."""
    centred = ops.widen(x)
    centred = centred - ops.mean(centred, axis=-1, keepdims=True)
    deviation = ops.sqrt(ops.mean(centred * centred, axis=-1, keepdims=True) + epsilon)
    return ops.cast(centred / deviation, x)


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class LayerNormLSTMCell(LSTMCell):
    """LSTM with layer normalisation of both products and of the memory.

        i, f, g, o = LN(W x_t; a_x) + LN(U h_{t-1}; a_h) + b        LN(v; a) = a * (v - mean(v)) / deviation(v)
        c_t = sigmoid(f) * c_{t-1} + sigmoid(i) * tanh(g)
        h_t = sigmoid(o) * tanh(LN(c_t; a_c) + b_c)

    Paper: J. Ba, J. Kiros and G. Hinton, Layer normalization, 2016, equations 20 to 22. The paper gives each product
    a bias of its own; here there is one, because only their sum has an effect.

    Shapes and arguments are those of `LSTMCell`; gains a_x, a_h [4U] and a_c [U] start at one, b_c [U] at zero.

    Arguments, besides those of `LSTMCell`:
        epsilon: number added to the variance.

    >>> LayerNormLSTMCell(8).epsilon
    0.001
    """

    def __init__(self, units, activation="tanh", recurrent_activation="sigmoid", *, epsilon=1e-3, **kwargs):
        super().__init__(units, activation, recurrent_activation, **kwargs)
        self.epsilon = positive_number("epsilon", epsilon, self, example=1e-3)

    def build(self, input_shape):
        super().build(input_shape)
        self.input_gain = self.add_weight(name="input_gain", shape=(4 * self.units,), initializer="ones")
        self.recurrent_gain = self.add_weight(name="recurrent_gain", shape=(4 * self.units,), initializer="ones")
        self.memory_gain = self.add_weight(name="memory_gain", shape=(self.units,), initializer="ones")
        self.memory_bias = self.add_weight(name="memory_bias", shape=(self.units,), initializer="zeros")

    def project(self, ops, w, x):
        z = normalise(ops, ops.matmul(x, w.kernel), self.epsilon) * w.input_gain
        return z if w.bias is None else ops.add_bias(z, w.bias)

    def recur(self, ops, w, h):
        return normalise(ops, ops.matmul(h, w.recurrent_kernel), self.epsilon) * w.recurrent_gain

    def gates(self, ops, w, z, r, state):
        _, c = state
        i, f, g, o = ops.split(z + r, 4)
        i, f, o = (ops.activation(self.recurrent_activation, gate) for gate in (i, f, o))
        c = f * c + i * ops.activation(self.activation, g)
        h = self.output(ops, w, o, normalise(ops, c, self.epsilon) * w.memory_gain + w.memory_bias)
        return h, [h, c]

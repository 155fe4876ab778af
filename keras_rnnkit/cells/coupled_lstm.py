"""LSTM whose input gate is one minus its forget gate."""

from __future__ import annotations

import keras

from keras_rnnkit.cells.lstm import LSTMCell


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class CoupledLSTMCell(LSTMCell):
    """LSTM with coupled gates: the input gate is 1 - f, so the memory takes in as much as it forgets.

        f = sigmoid(W_f x_t + U_f h_{t-1} + b_f)
        g =    tanh(W_g x_t + U_g h_{t-1} + b_g)
        o = sigmoid(W_o x_t + U_o h_{t-1} + b_o)
        c_t = f * c_{t-1} + (1 - f) * g
        h_t = o * tanh(c_t)

    Paper: K. Greff, LSTM: a search space odyssey, 2015 (CIFG), which found no loss on its tasks with three quarters
    of the weights of an LSTM.

    Shapes and arguments are those of `LSTMCell`, with three gates in the order f, g, o: kernel [D, 3U].

    >>> CoupledLSTMCell(8).gate_count
    3
    """

    gate_count = 3
    forget_gate = 0

    def gates(self, ops, w, z, r, state):
        _, c = state
        f, g, o = ops.split(z + r, 3)
        f, o = (ops.activation(self.recurrent_activation, gate) for gate in (f, o))
        c = f * c + (1.0 - f) * ops.activation(self.activation, g)
        h = self.output(ops, w, o, c)
        return h, [h, c]

"""LSTM whose gates read the memory."""

from __future__ import annotations

import keras

from keras_rnnkit.cells.lstm import LSTMCell


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class PeepholeLSTMCell(LSTMCell):
    """LSTM with peephole connections, which let the gates read the memory and help to time events precisely.

        i = sigmoid(W_i x_t + U_i h_{t-1} + p_i * c_{t-1} + b_i)
        f = sigmoid(W_f x_t + U_f h_{t-1} + p_f * c_{t-1} + b_f)
        g =    tanh(W_g x_t + U_g h_{t-1} + b_g)
        c_t = f * c_{t-1} + i * g
        o = sigmoid(W_o x_t + U_o h_{t-1} + p_o * c_t + b_o)
        h_t = o * tanh(c_t)

    Paper: F. Gers, N. Schraudolph and J. Schmidhuber, Learning precise timing, 2002.

    Shapes and arguments are those of `LSTMCell`. The peephole_kernel [3, U] has the rows p_i, p_f, p_o; it starts at
    zero and has the regularizer and constraint of the recurrent kernel.

    >>> cell = PeepholeLSTMCell(8)
    >>> cell.build((None, 4))
    >>> tuple(cell.peephole_kernel.shape)
    (3, 8)
    """

    def build(self, input_shape):
        super().build(input_shape)
        self.peephole_kernel = self.add_matrix(
            "peephole_kernel", (3, self.units), role="recurrent", initializer="zeros"
        )

    def gates(self, ops, w, z, r, state):
        _, c = state
        i, f, g, o = ops.split(z + r, 4)
        i = ops.activation(self.recurrent_activation, i + w.peephole_kernel[0] * c)
        f = ops.activation(self.recurrent_activation, f + w.peephole_kernel[1] * c)
        c = f * c + i * ops.activation(self.activation, g)
        o = ops.activation(self.recurrent_activation, o + w.peephole_kernel[2] * c)
        h = self.output(ops, w, o, c)
        return h, [h, c]

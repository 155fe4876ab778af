"""The block of minimal recurrent networks."""

from __future__ import annotations

import keras

from keras_rnnkit.blocks.block import Block
from keras_rnnkit.cells.arguments import positive_integer
from keras_rnnkit.cells.convolution import ConvolutionCell
from keras_rnnkit.cells.min_gru import MinGRUCell
from keras_rnnkit.cells.min_lstm import MinLSTMCell

CELLS = {"gru": MinGRUCell, "lstm": MinLSTMCell}


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class MinRNN(Block):
    """A block around a minGRU or a minLSTM: convolution, recurrence and gate, then a perceptron.

        n = LN(x)
        u = x + W_o (cell(conv(n)) * silu(W_g n))
        y = u + W_2 gelu(W_1 LN(u))

    Paper: L. Feng, Were RNNs all we needed?, 2024, whose language models have a convolution of width 4, the recurrence
    and a perceptron in each layer, with residual connections; the gate is that of the blocks of other papers.

    Shapes: x and y [B, T, D]. States: the last inputs of the convolution [B, 3 D] and that of the cell [B, U].

    Arguments, besides those of `Block`:
        cell: "gru" or "lstm".
        units: width U of the recurrence. Left out, as wide as the input.
        expansion: width of the perceptron, in proportion to D.

    >>> import keras_rnnkit as rk
    >>> stack = rk.Stack(rk.blocks.MinRNN(), num_layers=2)
    >>> stack(keras.ops.ones([2, 7, 8])).shape, stack.state_size
    (TensorShape([2, 7, 8]), [24, 8, 24, 8])
    """

    def __init__(self, cell="gru", units=None, expansion=4, **kwargs):
        super().__init__(**kwargs)
        if cell not in CELLS:
            raise ValueError(f"MinRNN: `cell` must be 'gru' or 'lstm'. Received: cell={cell!r}.")
        self.cell = cell
        self.units = None if units is None else positive_integer("units", units, self)
        self.expansion = positive_integer("expansion", expansion, self)

    def make_layers(self, features):
        units, inner = self.units or features, self.expansion * features
        self.norm_1, self.norm_2 = self.norm(features), self.norm(features)
        self.convolution = self.recurrence(ConvolutionCell(features, dtype=self.dtype_policy), features)
        self.memory = self.recurrence(CELLS[self.cell](units, dtype=self.dtype_policy), features)
        self.gate, self.output_dense = self.dense(features, units, "silu"), self.dense(units, features)
        self.mlp_1, self.mlp_2 = self.dense(features, inner, "gelu"), self.dense(inner, features)

    def transform(self, x, run, training):
        n = self.norm_1(x)
        h = run(self.memory, run(self.convolution, n))
        u = x + self.drop(self.output_dense(h * self.gate(n)), training=training)
        return u + self.drop(self.mlp_2(self.mlp_1(self.norm_2(u))), training=training)

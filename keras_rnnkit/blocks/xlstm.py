"""The two blocks of xLSTM."""

from __future__ import annotations

import keras
from keras import ops

from keras_rnnkit.blocks.block import Block, built
from keras_rnnkit.blocks.head_norm import HeadNorm
from keras_rnnkit.cells.arguments import positive_integer
from keras_rnnkit.cells.convolution import ConvolutionCell
from keras_rnnkit.cells.mlstm import MLSTMCell
from keras_rnnkit.cells.slstm import SLSTMCell

CELLS = ("mlstm", "slstm")


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class XLSTM(Block):
    """A block of xLSTM: around an mLSTM wide projections, around an sLSTM a narrow one and a gated perceptron.

        cell="mlstm":    a, g = W_a n, W_g n                     with n = LN(x), each twice as wide as x
                         c = silu(conv(a))
                         y = x + W_o ((HN(mLSTM(c)) + s * c) * silu(g))
        cell="slstm":    u = x + HN(sLSTM(silu(conv(n))))
                         m = LN(u)
                         y = u + W_3 (gelu(W_1 m) * W_2 m)       4/3 as wide as x inside

    HN normalises the units of each head. Paper: M. Beck, xLSTM: extended long short-term memory, 2024, figures 10 and
    11. All gates read the convolution here. In the paper the values of the mLSTM, and the candidate and the output gate
    of the sLSTM, read what stands in front of it.

    Shapes: x and y [B, T, D]. States: the last inputs of the convolution, and those of the cell.

    Arguments, besides those of `Block`:
        cell: "mlstm" or "slstm".
        heads: of the cell; it must divide D.
        expansion: width inside the block of an mLSTM, in proportion to D.

    >>> import keras_rnnkit as rk
    >>> stack = rk.Stack([rk.blocks.XLSTM(), rk.blocks.XLSTM("slstm", heads=2)])
    >>> stack(keras.ops.ones([2, 7, 8])).shape, stack.state_size
    (TensorShape([2, 7, 8]), [48, 64, 16, 4, 24, 8, 8, 8, 8])
    """

    def __init__(self, cell="mlstm", heads=4, expansion=2, **kwargs):
        super().__init__(**kwargs)
        if cell not in CELLS:
            raise ValueError(f"XLSTM: `cell` must be 'mlstm' or 'slstm'. Received: cell={cell!r}.")
        self.cell = cell
        self.heads = positive_integer("heads", heads, self)
        self.expansion = positive_integer("expansion", expansion, self)

    def make_layers(self, features):
        if self.cell == "mlstm":
            self.make_mlstm(features, self.expansion * features)
        else:
            self.make_slstm(features, max(1, round(features * 4 / 3)))

    def make_mlstm(self, features: int, inner: int):
        self.norm_1 = self.norm(features)
        self.input_dense, self.gate = self.dense(features, inner), self.dense(features, inner, "silu")
        self.convolution = self.recurrence(ConvolutionCell(inner, dtype=self.dtype_policy), inner)
        cell = MLSTMCell(inner, heads=self.heads, output_gate=False, dtype=self.dtype_policy)
        self.memory = self.recurrence(cell, inner)
        self.head_norm = built(HeadNorm(self.heads, dtype=self.dtype_policy), (None, None, inner))
        self.skip = self.add_weight(name="skip", shape=(inner,), initializer="ones")
        self.output_dense = self.dense(inner, features)

    def make_slstm(self, features: int, inner: int):
        self.norm_1 = self.norm(features)
        self.convolution = self.recurrence(ConvolutionCell(features, dtype=self.dtype_policy), features)
        self.memory = self.recurrence(SLSTMCell(features, heads=self.heads, dtype=self.dtype_policy), features)
        self.head_norm = built(HeadNorm(self.heads, dtype=self.dtype_policy), (None, None, features))
        self.norm_2 = self.norm(features)
        self.mlp_1, self.mlp_2 = self.dense(features, inner, "gelu"), self.dense(features, inner)
        self.mlp_3 = self.dense(inner, features)

    def transform(self, x, run, training):
        n = self.norm_1(x)
        if self.cell == "mlstm":
            c = ops.silu(run(self.convolution, self.input_dense(n)))
            h = self.head_norm(run(self.memory, c)) + ops.cast(self.skip, c.dtype) * c
            return x + self.drop(self.output_dense(h * self.gate(n)), training=training)
        h = self.head_norm(run(self.memory, ops.silu(run(self.convolution, n))))
        u = x + self.drop(h, training=training)
        m = self.norm_2(u)
        return u + self.drop(self.mlp_3(self.mlp_1(m) * self.mlp_2(m)), training=training)

"""The recurrent block of Griffin."""

from __future__ import annotations

import keras
from keras import ops

from keras_rnnkit.blocks.block import Block
from keras_rnnkit.cells.arguments import positive_integer
from keras_rnnkit.cells.convolution import ConvolutionCell
from keras_rnnkit.cells.rglru import RGLRUCell


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class Griffin(Block):
    """The recurrent block of Griffin (Hawk, where it has no attention): RG-LRU and gate, then a gated perceptron.

        n = RMS(x)
        u = x + W_o (RG-LRU(conv(W_r n)) * gelu(W_g n))
        m = RMS(u)
        y = u + W_3 (gelu(W_1 m) * W_2 m)

    Paper: S. De, Griffin: mixing gated linear recurrences with local attention, 2024; the convolution has width 4.
    Griffin puts a block of local attention behind every two of these.

    Shapes: x and y [B, T, D]. States: the last inputs of the convolution [B, 3 U] and that of the RG-LRU [B, U].

    Arguments, besides those of `Block`:
        units: width U of the recurrence. Left out, as wide as the input; the paper takes 4/3 of it.
        expansion: width of the perceptron, in proportion to D.

    >>> block = Griffin(units=12)
    >>> block(keras.ops.ones([2, 7, 8])).shape, block.state_size
    (TensorShape([2, 7, 8]), [36, 12])
    """

    def __init__(self, units=None, expansion=3, **kwargs):
        super().__init__(**kwargs)
        self.units = None if units is None else positive_integer("units", units, self)
        self.expansion = positive_integer("expansion", expansion, self)

    def make_layers(self, features):
        units, inner = self.units or features, self.expansion * features
        self.norm_1, self.norm_2 = (self.norm(features, keras.layers.RMSNormalization) for _ in range(2))
        self.input_dense, self.gate = self.dense(features, units), self.dense(features, units)
        self.convolution = self.recurrence(ConvolutionCell(units, dtype=self.dtype_policy), units)
        self.memory = self.recurrence(RGLRUCell(units, dtype=self.dtype_policy), units)
        self.output_dense = self.dense(units, features)
        self.mlp_1, self.mlp_2 = self.dense(features, inner), self.dense(features, inner)
        self.mlp_3 = self.dense(inner, features)

    def transform(self, x, run, training):
        n = self.norm_1(x)
        h = run(self.memory, run(self.convolution, self.input_dense(n)))
        u = x + self.drop(self.output_dense(h * gelu(self.gate(n))), training=training)
        m = self.norm_2(u)
        return u + self.drop(self.mlp_3(gelu(self.mlp_1(m)) * self.mlp_2(m)), training=training)


def gelu(x):
    return ops.gelu(x, approximate=False)

"""Batch normalisation of what enters the loop."""

from __future__ import annotations

import keras

from keras_rnnkit.cells.conditioned import projected_width
from keras_rnnkit.cells.wrapper import WrapperCell


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class BatchNormCell(WrapperCell):
    """Any cell with its projected input batch-normalised, sequence-wise.

        z_t = gain * (W x_t - mean) / deviation + b

    mean and deviation are those of W x over batch and time (masked steps left out) in training, running ones
    otherwise. The recurrent product is not normalised: the paper found that it does not help.

    Paper: C. Laurent, Batch normalized recurrent neural networks, 2016, equation 10.

    The statistics are taken before the loop, of all steps at once. Inside `keras.layers.RNN`, which shows a cell
    one step at a time, the running ones are used as they are, in training too.

    Arguments:
        cell: the cell whose input to normalise.
        momentum: of the running mean and variance.
        epsilon: added to the variance.

    >>> from keras_rnnkit.cells import GRUCell
    >>> BatchNormCell(GRUCell(8)).momentum
    0.99
    """

    def __init__(self, cell, momentum=0.99, epsilon=1e-3, **kwargs):
        super().__init__(cell, **kwargs)
        self.momentum = momentum
        self.epsilon = epsilon

    def build(self, input_shape):
        super().build(input_shape)
        shape = (projected_width(self.cell, input_shape[-1]),)
        self.gain = self.add_weight(name="gain", shape=shape, initializer="ones")
        self.running_mean = self.add_weight(name="running_mean", shape=shape, initializer="zeros", trainable=False)
        self.running_variance = self.add_weight(
            name="running_variance", shape=shape, initializer="ones", trainable=False
        )

    def project(self, ops, w, x):
        z, bias = self.product(ops, w, x)
        return w.gain * (z - w.running_mean) / ops.sqrt(w.running_variance + self.epsilon) + bias

    def inputs(self, ops, w, x, state, training=False, mask=None):
        if not training or len(x.shape) == 2:
            return self.project(ops, w, x)
        z, bias = self.product(ops, w, x)
        mean, variance = statistics(z, mask)
        self.follow(mean, variance)
        return w.gain * (z - mean) / ops.sqrt(variance + self.epsilon) + bias

    def product(self, ops, w, x):
        """W x and b, from a projection that gives W x + b."""
        bias = self.cell.project(ops, w.cell, ops.zeros_like(x[..., :1, :]))
        return self.cell.project(ops, w.cell, x) - bias, bias

    def follow(self, mean, variance):
        for running, now in ((self.running_mean, mean), (self.running_variance, variance)):
            running.assign(running * self.momentum + keras.ops.cast(now, running.dtype) * (1.0 - self.momentum))


def statistics(z, mask):
    """Mean and variance of z [T, B, Z] along its last axis, over the valid steps of mask [T, B]."""
    if mask is None:
        return keras.ops.moments(z, axes=(0, 1))
    valid = keras.ops.cast(mask, z.dtype)[..., None]
    count = keras.ops.maximum(keras.ops.sum(valid), 1.0)
    mean = keras.ops.sum(z * valid, axis=(0, 1)) / count
    return mean, keras.ops.sum(keras.ops.square(z - mean) * valid, axis=(0, 1)) / count

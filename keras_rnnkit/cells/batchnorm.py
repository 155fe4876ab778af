"""Batch normalisation of the projected input."""

from __future__ import annotations

import keras

from keras_rnnkit.cells.arguments import fraction, positive_number
from keras_rnnkit.cells.conditioned import projected_width
from keras_rnnkit.cells.wrapper import WrapperCell


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class BatchNormCell(WrapperCell):
    """Any cell with its projected input batch-normalised, sequence-wise.

        z_t = gain * (W x_t - mean) / deviation + b

    mean and deviation are those of W x over batch and time (masked steps left out) in training, and running averages
    of them otherwise. The recurrent product is not normalised: the paper found that this does not help.

    Paper: C. Laurent, Batch normalized recurrent neural networks, 2016, equation 10.

    The statistics are taken before the loop, over all steps at once. `keras.layers.RNN` shows a cell one step at a
    time, so inside it the running averages are used as they are, in training too. A cell with trainable=False uses
    the running averages and leaves them unchanged, like Keras' BatchNormalization. All of this is computed in float32
    at least.

    Around a `ConditionedCell` the sum W x_t + W_ih v is normalised; inside it, W x_t alone. Zoneout goes around
    this cell: ZoneoutCell(BatchNormCell(cell)).

    Shapes: those of the wrapped cell; gain, running_mean and running_variance [width of z].

    Arguments:
        cell: the cell whose input to normalise.
        momentum: share of the running mean and variance that one training step keeps.
        epsilon: number added to the variance.

    >>> from keras_rnnkit.cells import GRUCell
    >>> BatchNormCell(GRUCell(8)).momentum
    0.99
    """

    def __init__(self, cell, momentum=0.99, epsilon=1e-3, **kwargs):
        super().__init__(cell, **kwargs)
        self.check_no_noise_inside()
        self.momentum = fraction("momentum", momentum, self)
        self.epsilon = positive_number("epsilon", epsilon, self, example=1e-3)
        self.needs_all_steps = True

    def build(self, input_shape):
        super().build(input_shape)
        shape = (projected_width(self.cell, input_shape[-1]),)
        self.gain = self.add_weight(name="gain", shape=shape, initializer="ones")
        # In half precision the variance would overflow, and the small updates of both would be lost.
        wide = {"dtype": keras.backend.result_type(self.variable_dtype, "float32"), "autocast": False}
        self.running_mean = self.add_weight(
            name="running_mean", shape=shape, initializer="zeros", trainable=False, **wide
        )
        self.running_variance = self.add_weight(
            name="running_variance", shape=shape, initializer="ones", trainable=False, **wide
        )

    def project(self, ops, w, x):
        z = super().project(ops, w, x)
        return self.normalise(ops, w, x, z, w.running_mean, w.running_variance)

    def inputs(self, ops, w, x, state, training=False, mask=None):
        z = super().inputs(ops, w, x, state, training=training, mask=mask)
        if not training or not self.trainable or len(x.shape) == 2:  # [B, D] is a single step
            return self.normalise(ops, w, x, z, w.running_mean, w.running_variance)
        mean, variance, count = statistics(ops.widen(z) - self.projected_bias(ops, w, x), mask)
        self.update_averages(mean, variance, count)
        return self.normalise(ops, w, x, z, mean, variance)

    def normalise(self, ops, w, x, z, mean, variance):
        """z with its bias left out of the normalisation."""
        b = self.projected_bias(ops, w, x)
        centred = ops.widen(z) - b - mean
        return ops.cast(ops.widen(w.gain) * centred / ops.sqrt(variance + self.epsilon) + b, z)

    def projected_bias(self, ops, w, x):
        """b, from a projection that gives W x + b: its value at zero."""
        return ops.widen(self.cell.project(ops, w.cell, ops.zeros_like(x[..., :1, :])))

    def update_averages(self, mean, variance, count):
        for average, value in ((self.running_mean, mean), (self.running_variance, variance)):
            old = keras.ops.convert_to_tensor(average)
            new = old * self.momentum + keras.ops.cast(value, old.dtype) * (1.0 - self.momentum)
            average.assign(keras.ops.where(count > 0, new, old))  # a batch without a valid step has no statistics


def statistics(z, mask):
    """Mean and variance of z [T, B, Z] for each of its columns, and the number of valid steps of mask [T, B]."""
    mask = keras.ops.ones_like(z[..., 0]) if mask is None else mask
    valid = keras.ops.cast(mask, z.dtype)[..., None]
    count = keras.ops.sum(valid)
    divisor = keras.ops.maximum(count, 1.0)
    mean = keras.ops.sum(z * valid, axis=(0, 1)) / divisor
    return mean, keras.ops.sum(keras.ops.square(z - mean) * valid, axis=(0, 1)) / divisor, count

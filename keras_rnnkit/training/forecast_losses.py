"""Losses of forecasts that say how sure they are: a normal distribution, and quantiles. NaN targets do not count."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
from keras import ops


class ForecastLoss(keras.losses.Loss):
    """The weighted mean over the targets [..., H] of a sequence, without those that are NaN.

    Arguments:
        weights: the weight of each of the H steps ahead; None weighs them equally.
    """

    def __init__(self, weights: Sequence[float] | None = None, **kwargs):
        super().__init__(**kwargs)
        self.weights = None if weights is None else [float(weight) for weight in weights]

    def losses(self, targets, predictions):
        """The loss of each target [..., H], none of which is NaN."""
        raise NotImplementedError

    def call(self, y_true, y_pred):
        y_true, y_pred = ops.cast(y_true, "float32"), ops.cast(y_pred, "float32")
        missing = ops.isnan(y_true)
        losses = self.losses(ops.where(missing, 0.0, y_true), y_pred)
        weights = ops.cast(ops.logical_not(missing), "float32")
        weights = weights if self.weights is None else weights * ops.convert_to_tensor(self.weights, "float32")
        axes = tuple(range(1, len(y_true.shape)))
        return ops.sum(losses * weights, axis=axes) / ops.maximum(ops.sum(weights, axis=axes), 1e-6)

    def get_config(self):
        return {**super().get_config(), "weights": self.weights}


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class GaussianNLL(ForecastLoss):
    """-log of the normal density of targets [B, ..., H], from means and standard deviations [B, ..., H, 2], in nats.

        loss = ((y - mean) / deviation)^2 / 2 + log deviation + log(2 pi) / 2

    Arguments:
        weights: the weight of each of the H steps ahead; None weighs them equally.

    >>> round(float(GaussianNLL()([[[1.0]]], [[[[0.0, 1.0]]]])), 4)
    1.4189
    """

    def losses(self, targets, predictions):
        mean, deviation = predictions[..., 0], predictions[..., 1]
        return ops.square((targets - mean) / deviation) / 2 + ops.log(deviation) + math.log(2 * math.pi) / 2


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class Pinball(ForecastLoss):
    """The quantile loss of targets [B, ..., H] and quantiles [B, ..., H, Q], summed over the quantiles.

        loss = sum_q max(q (y - y_q), (q - 1) (y - y_q))

    Koenker and Bassett, Regression quantiles, 1978.

    Arguments:
        levels: q of each quantile, between 0 and 1.
        weights: the weight of each of the H steps ahead; None weighs them equally.

    >>> round(float(Pinball([0.9])([[[1.0]]], [[[[0.0]]]])), 4), round(float(Pinball([0.9])([[[0.0]]], [[[[1.0]]]])), 4)
    (0.9, 0.1)
    """

    def __init__(self, levels: Sequence[float], weights: Sequence[float] | None = None, **kwargs):
        super().__init__(weights, **kwargs)
        self.levels = [float(level) for level in levels]
        if not self.levels or not all(0 < level < 1 for level in self.levels):
            raise ValueError(f"levels must be one or more numbers between 0 and 1. Received: levels={self.levels}.")

    def losses(self, targets, predictions):
        errors = targets[..., None] - predictions
        levels = ops.convert_to_tensor(self.levels, "float32")
        return ops.sum(ops.maximum(levels * errors, (levels - 1.0) * errors), axis=-1)

    def get_config(self):
        return {**super().get_config(), "levels": self.levels}

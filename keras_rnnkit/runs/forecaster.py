"""The latent autoregressive network of forecasts: from scaled numbers to what comes next, and how sure that is."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import keras
import numpy as np
from keras import ops

import keras_rnnkit as rk
from keras_rnnkit.runs.forecast_parts import Scaling
from keras_rnnkit.runs.recurrent import layer_of

LEAST_DEVIATION = 1e-3
"""The smallest standard deviation that a forecast may have, in scaled units, so that no density becomes infinite."""


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class ChangeCell(rk.cells.Cell):
    """y_t = s_{t-1} (x_t - x_{t-1}): how much each input has changed since the step before; 0 at the first step.

        states: x_t, and s_t = 1, which tells the first step, where there is none before it

    Arguments:
        units: the width of the input.

    >>> layer = rk.Recurrent(ChangeCell(1), return_sequences=True)
    >>> layer(np.array([[[3.0], [5.0], [4.0]]], "float32"))[0, :, 0].numpy().tolist()
    [0.0, 2.0, -1.0]
    """

    emits_state = False

    def __init__(self, units: int, **kwargs):
        super().__init__(units, **kwargs)
        self.state_size = [units, units]

    def build(self, input_shape):
        self.built = True

    def project(self, ops, w, x):
        return x

    def recur(self, ops, w, h):
        return h

    def gates(self, ops, w, z, r, state):
        _, seen = state
        return seen * (z - r), [z, 0.0 * seen + 1.0]


def network(settings: Any, channels: int, change: float):
    """Scaled numbers [B, T, D] to the distribution of the next H targets after each step [B, T, H, P].

        f_t = x_t, or how much it has changed        h_t = cell(f_t, h_{t-1})        p_t = W [h_t, f_t] + b

    Arguments:
        settings: cell, layers, units, dropout, horizon, output and difference of the pipeline.
        channels: D; the first is the target.
        change: the size of a step's change of the target.

    P is 2 for "gaussian": mean and standard deviation. It is 3 for "quantiles": lower bound, median and upper bound.
    """
    s = settings
    inputs = keras.Input((None, channels), name="scaled")
    features = changes_of(inputs, channels, change) if s.difference else inputs
    x = features
    for i in range(s.layers):
        x = keras.layers.Dropout(s.dropout, seed=s.seed + i)(x) if i and s.dropout else x
        x = layer_of(s.cell, s.units, name=f"memory_{i}")(x)
    x = keras.layers.Dropout(s.dropout, seed=s.seed - 1)(x) if s.dropout else x
    width = 2 if s.output == "gaussian" else 3
    p = keras.layers.Dense(s.horizon * width, name="head")(keras.layers.Concatenate()([x, features]))
    p = keras.layers.Reshape((-1, s.horizon, width))(p)
    base, size = (inputs[..., :1], change) if s.difference else (0.0, 1.0)
    return keras.Model(inputs, HEADS[s.output](p, base, size), name="forecaster")


def changes_of(inputs, channels: int, change: float):
    """The change of the target, in units of its usual size, and the covariates as they are."""
    layer = rk.Recurrent(ChangeCell(1), return_sequences=True, trainable=False, name="change")
    changed = layer(inputs[..., :1]) * (1.0 / change)
    return changed if channels == 1 else keras.layers.Concatenate()([changed, inputs[..., 1:]])


def gaussian_head(p, base, size):
    """Mean and standard deviation of a normal distribution."""
    deviation = ops.softplus(p[..., 1]) + LEAST_DEVIATION
    return ops.stack([base + size * p[..., 0], size * deviation], axis=-1)


def quantile_head(p, base, size):
    """Lower bound, median and upper bound; they cannot cross."""
    median = base + size * p[..., 0]
    lower, upper = (size * ops.softplus(p[..., i]) for i in (1, 2))
    return ops.stack([median - lower, median, median + upper], axis=-1)


HEADS = {"gaussian": gaussian_head, "quantiles": quantile_head}


def loss_of(settings: Any):
    """The loss of the output. The next step weighs as much as the mean of all steps."""
    weights = np.full(settings.horizon, 0.5 / settings.horizon)
    weights[0] += 0.5
    if settings.output == "gaussian":
        return rk.training.GaussianNLL(weights)
    outside = (1 - settings.interval) / 2
    return rk.training.Pinball([outside, 0.5, 1 - outside], weights)


def with_intervals(core, scaling: Scaling, settings: Any, stretch: np.ndarray, horizon: int):
    """The network around which scaling and its inverse are layers: from numbers as the user has them, and to them.

    Arguments:
        core: what `network` built.
        scaling: of the series; where there is more than one, the model has an input with the number of the series.
        settings: output and interval of the pipeline.
        stretch: by what the interval of each step ahead is made wider [H].
        horizon: how many steps ahead the outputs have, at most as many as the network.

    The outputs are "forecast", and the bounds of the interval with the level in their names.
    """
    x = keras.Input((None, core.input_shape[-1]), name="x")
    series = keras.Input((), dtype="int32", name="series") if len(scaling.centres) > 1 else None
    centres, scales = (
        of_series(array, series, name) for array, name in ((scaling.centres, "c"), (scaling.scales, "s"))
    )
    distribution = core((x - centres) / scales)[..., :horizon, :]
    lower, middle, upper = bounds(distribution, settings)
    stretch = np.asarray(stretch[:horizon], np.float32)
    scaled = {
        "forecast": middle,
        f"lower_{percent(settings.interval)}": middle - (middle - lower) * stretch,
        f"upper_{percent(settings.interval)}": middle + (upper - middle) * stretch,
    }
    outputs = {name: value * scales[..., :1] + centres[..., :1] for name, value in scaled.items()}
    return keras.Model(x if series is None else [x, series], outputs, name="series")


def of_series(array: np.ndarray, series, name: str):
    """The row of an array [N, D] that belongs to the series of each row of a batch, for all steps [B or 1, 1, D]."""
    if series is None:
        return np.asarray(array, np.float32)[None]
    table = keras.layers.Embedding(*array.shape, trainable=False, name=f"scaling_{name}")
    rows = table(series)
    table.set_weights([array])
    return rows[:, None, :]


def bounds(distribution, settings: Any):
    """Lower bound, point forecast and upper bound [..., H] of a distribution [..., H, P]; of arrays and of tensors."""
    if settings.output == "quantiles":
        return tuple(distribution[..., i] for i in range(3))
    mean, deviation = distribution[..., 0], distribution[..., 1]
    width = NormalDist().inv_cdf((1 + settings.interval) / 2)
    return mean - width * deviation, mean, mean + width * deviation


def percent(level: float) -> int:
    """A level in percent, as the names of outputs have it.

    >>> percent(0.9)
    90
    """
    return round(100 * level)


def small_network(tau: int, units: int = 10):
    """The multilayer perceptron of A. Zhang, Dive into deep learning, 2023: tau values, ten units, the next value."""
    layers = [keras.Input((tau,)), keras.layers.Dense(units, "relu"), keras.layers.Dense(1)]
    return keras.Sequential(layers, name="mlp")

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

RELATIVE = "relative"
"""The part of the network without the last value, to which changes are added."""

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
    inputs = keras.Input((None, channels), name="scaled")
    relative = relative_network(settings, channels, change)
    distribution = relative(features_of(inputs, inputs, change, settings))
    if settings.difference:
        distribution = moved(distribution, inputs[..., :1], settings.output)
    return keras.Model(inputs, distribution, name="forecaster")


def relative_network(settings: Any, channels: int, change: float):
    """Features [B, T, D] to the distributions [B, T, H, P] of the next values, or of how they differ from the last."""
    s, features = settings, keras.Input((None, channels), name="features")
    x = features
    for i in range(s.layers):
        x = keras.layers.Dropout(s.dropout, seed=s.seed + i)(x) if i and s.dropout else x
        x = layer_of(s.cell, s.units, name=f"memory_{i}")(x)
    x = keras.layers.Dropout(s.dropout, seed=s.seed - 1)(x) if s.dropout else x
    width = 2 if s.output == "gaussian" else 3
    p = keras.layers.Dense(s.horizon * width, name="head")(keras.layers.Concatenate()([x, features]))
    p = keras.layers.Reshape((-1, s.horizon, width))(p)
    return keras.Model(features, HEADS[s.output](p, change if s.difference else 1.0), name=RELATIVE)


def features_of(x, scaled, size, settings: Any):
    """What the network reads: scaled numbers [B, T, D], or with `difference` the change of the target, and covariates.

    Changes are those of x itself: after scaling, those of large numbers would have lost digits of a float32.

    Arguments:
        x: numbers whose first channel is the target.
        scaled: the same, scaled.
        size: the usual size of a change of x.
    """
    if not settings.difference:
        return scaled
    layer = rk.Recurrent(ChangeCell(1), return_sequences=True, trainable=False, name="change")
    changed = layer(x[..., :1]) / size
    return changed if x.shape[-1] == 1 else keras.layers.Concatenate()([changed, scaled[..., 1:]])


def moved(distribution, last, output: str):
    """A distribution [..., H, P] of differences from the last value [..., 1] as one of values."""
    if output == "quantiles":
        return distribution + last[..., None]
    return ops.stack([distribution[..., 0] + last, distribution[..., 1]], axis=-1)


def gaussian_head(p, size: float):
    """Mean and standard deviation of a normal distribution."""
    return size * ops.stack([p[..., 0], ops.softplus(p[..., 1]) + LEAST_DEVIATION], axis=-1)


def quantile_head(p, size: float):
    """Lower bound, median and upper bound; they cannot cross."""
    median, below, above = p[..., 0], ops.softplus(p[..., 1]), ops.softplus(p[..., 2])
    return size * ops.stack([median - below, median, median + above], axis=-1)


HEADS = {"gaussian": gaussian_head, "quantiles": quantile_head}


def loss_of(settings: Any):
    """The loss of the output. The next step weighs as much as the mean of all steps."""
    weights = np.full(settings.horizon, 0.5 / settings.horizon)
    weights[0] += 0.5
    if settings.output == "gaussian":
        return rk.training.GaussianNLL(weights.tolist())
    outside = (1 - settings.interval) / 2
    return rk.training.Pinball([outside, 0.5, 1 - outside], weights.tolist())


def with_intervals(core, scaling: Scaling, settings: Any, stretch: np.ndarray, horizon: int):
    """A model around the network that has scaling and its inverse inside: its numbers are those of the user.

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
    features = features_of(x, (x - centres) / scales, scales[..., :1] * scaling.change, settings)
    lower, middle, upper = bounds(core.get_layer(RELATIVE)(features)[..., :horizon, :], settings)
    # A change is added to the value itself: scaled and back, a large value would lose the last digits of a float32.
    origin = x[..., :1] if settings.difference else centres[..., :1]
    stretch = np.asarray(stretch[:horizon], np.float32)
    scaled = {
        "forecast": middle,
        f"lower_{percent(settings.interval)}": middle - (middle - lower) * stretch,
        f"upper_{percent(settings.interval)}": middle + (upper - middle) * stretch,
    }
    outputs = {name: value * scales[..., :1] + origin for name, value in scaled.items()}
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

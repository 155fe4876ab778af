"""Intervals of forecasts: which outputs of a model they come from, and how they widen from step to step."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

PATHS = 127
"""Futures that are drawn beside the forecast. More would make a step of a small model slower than 2 ms."""
BOUND = re.compile(r"(?P<side>lower|upper)_(?P<percent>[1-9]\d?)")


@dataclass(frozen=True)
class SeriesOutputs:
    """The outputs of a model of a series: the next value, and the bounds between which it lies `level` of the time."""

    forecast: str
    lower: str | None = None
    upper: str | None = None
    level: float | None = None


def series_outputs(names: Sequence[str]) -> SeriesOutputs:
    """What the names of a model's outputs say. Bounds are called lower_90 and upper_90, for an interval of 90%.

    >>> series_outputs(["forecast", "lower_90", "upper_90"])
    SeriesOutputs(forecast='forecast', lower='lower_90', upper='upper_90', level=0.9)
    >>> series_outputs(["y"])
    SeriesOutputs(forecast='y', lower=None, upper=None, level=None)
    """
    bounds = {match["side"]: match for match in map(BOUND.fullmatch, names) if match}
    values = [name for name in names if not BOUND.fullmatch(name)]
    levels = {match["percent"] for match in bounds.values()}
    if len(names) != 3 or len(values) != 1 or len(bounds) != 2 or len(levels) != 1:
        return SeriesOutputs(names[0])
    return SeriesOutputs(values[0], bounds["lower"][0], bounds["upper"][0], int(levels.pop()) / 100)


class Futures:
    """Paths [P, D] along which a series may go on.

    At each step a path takes a value from the distribution that the model gives for it:

        x = y + s z,    z ~ N(0, 1),    s = (u - y) / q where z > 0, (y - l) / q elsewhere

    with y the forecast of this path, l and u its bounds, and q the quantile of N(0, 1) that u stands for. A Gaussian is
    met exactly; of three quantiles it is the distribution of two halves that has them.
    """

    def __init__(self, level: float, seed: int):
        self.level, self.random = level, np.random.default_rng(seed)
        normal = NormalDist()
        self.quantile = normal.inv_cdf((1 + level) / 2)
        self.scores = np.array([normal.inv_cdf((i + 0.5) / PATHS) for i in range(PATHS)])

    def drawn(self, forecast: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
        """The next value of each path, from the last rows of what the model gave [B, D]; one row is the past of all.

        The draws are spread evenly over the distribution, in another order each time.
        """
        forecast, lower, upper = (array[-PATHS:] for array in (forecast, lower, upper))
        channels = forecast.shape[-1]
        z = np.stack([self.random.permutation(self.scores) for _ in range(channels)], axis=-1)
        width = np.where(z > 0, upper - forecast, forecast - lower)
        return forecast + np.maximum(width, 0.0) / self.quantile * z

    def bounds(self, values: np.ndarray) -> list[np.ndarray]:
        """The lower and the upper bound [D] that hold `level` of the paths between them."""
        return list(np.quantile(values, [(1 - self.level) / 2, (1 + self.level) / 2], axis=0))

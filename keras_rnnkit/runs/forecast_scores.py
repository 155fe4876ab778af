"""How good forecasts are: errors by the steps ahead, MASE, coverage, and the forecasts that need no training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def truth_of(values: np.ndarray, origins: np.ndarray, horizon: int) -> np.ndarray:
    """What came after each origin [N, horizon]; NaN after the end of the series.

    >>> truth_of(np.array([1.0, 2.0, 3.0]), np.array([0, 1]), 2).tolist()
    [[2.0, 3.0], [3.0, nan]]
    """
    padded = np.concatenate([values, np.full(horizon, np.nan)])
    return padded[np.asarray(origins)[:, None] + np.arange(1, horizon + 1)]


def last_value(values: np.ndarray, origins: np.ndarray, horizon: int) -> np.ndarray:
    """Forecasts [N, horizon] that all are the value of the origin.

    >>> last_value(np.array([1.0, 2.0]), np.array([1]), 3).tolist()
    [[2.0, 2.0, 2.0]]
    """
    return np.repeat(values[origins][:, None], horizon, axis=1)


def seasonal_naive(values: np.ndarray, origins: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """Forecasts [N, horizon] that repeat the last season before the origin; NaN where there is no whole season.

    >>> seasonal_naive(np.array([1.0, 2.0, 3.0, 4.0]), np.array([3]), 3, season=2).tolist()
    [[3.0, 4.0, 3.0]]
    """
    steps = np.arange(1, horizon + 1)
    places = np.asarray(origins)[:, None] + steps - season * -(-steps // season)
    return np.where(places >= 0, values[np.maximum(places, 0)], np.nan)


def naive_error(values: np.ndarray, season: int = 1, observed: np.ndarray | None = None) -> float:
    """The mean absolute error of the value one season before, within a training part: the scale of MASE.

        scale = mean |y_t - y_{t - season}|

    NaN where the part is no longer than a season.

    >>> naive_error(np.array([1.0, 3.0, 2.0]))
    1.5
    """
    if len(values) <= season:
        return float("nan")
    errors = np.abs(values[season:] - values[:-season])
    if observed is not None:
        errors = errors[observed[season:] & observed[:-season]]
    return float(errors.mean()) if errors.size else float("nan")


def mase(forecasts: np.ndarray, truth: np.ndarray, scales: np.ndarray | float) -> float:
    """The mean absolute scaled error: below 1 is better than the naive forecast was within the training part.

    R. J. Hyndman and A. B. Koehler, Another look at measures of forecast accuracy, 2006.

    Arguments:
        forecasts, truth: arrays [N]; NaN does not count.
        scales: `naive_error` of the series of each row [N], or of the only series.

    >>> mase(np.array([1.0, 2.0]), np.array([1.5, 2.5]), 2.0)
    0.25
    """
    return mean_of(np.abs(forecasts - truth) / scales)


def errors_by_step(forecasts: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The root of the mean squared error of each number of steps ahead, from arrays [N, H]; NaN does not count.

    >>> errors_by_step(np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([[1.0, 4.0], [1.0, np.nan]])).round(4).tolist()
    [1.4142, 2.0]
    """
    return np.sqrt([mean_of(column) for column in np.square(forecasts - truth).T])


def coverage_by_step(lower: np.ndarray, upper: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """How often the truth is inside of the interval, for each number of steps ahead, from arrays [N, H].

    >>> coverage_by_step(np.zeros((2, 1)), np.ones((2, 1)), np.array([[0.5], [2.0]])).tolist()
    [0.5]
    """
    inside = np.where(np.isnan(truth), np.nan, (lower <= truth) & (truth <= upper))
    return np.array([mean_of(column) for column in inside.T])


def stretch_by_step(intervals: np.ndarray, truth: np.ndarray, level: float) -> np.ndarray:
    """By what the intervals must be stretched so that they cover a share `level` of the truth, for each step ahead.

    A split conformal correction with a normalized score (Lei et al., Distribution-free predictive inference for
    regression, 2018): the (n + 1) level / n quantile of how far the truth is from the forecast, in half intervals.
    1 where there are too few values to say.

    Arguments:
        intervals: lower bound, forecast and upper bound [N, H, 3].
        truth: what came [N, H]; NaN does not count.
        level: the share, such as 0.9.

    >>> intervals = np.array([[[-1.0, 0.0, 2.0]]] * 20)
    >>> stretch_by_step(intervals, np.linspace(-2, 0, 20)[:, None], 0.9).round(2).tolist()
    [1.89]
    """
    lower, middle, upper = np.moveaxis(intervals, -1, 0)
    half = np.where(truth < middle, middle - lower, upper - middle)
    return np.array([conformal_quantile(column, level) for column in (np.abs(truth - middle) / half).T])


def conformal_quantile(scores: np.ndarray, level: float) -> float:
    """The quantile of scores that a further one stays below with probability `level`; 1 where there are too few."""
    scores = scores[np.isfinite(scores)]
    place = int(np.ceil((len(scores) + 1) * level))
    return float(np.sort(scores)[place - 1]) if 0 < place <= len(scores) else 1.0


def mean_of(values: np.ndarray) -> float:
    """The mean of what is not NaN; NaN where there is nothing."""
    there = np.asarray(values, float)
    there = there[np.isfinite(there)]
    return float(there.mean()) if there.size else float("nan")


def steps_to_show(horizon: int, wanted: Sequence[int] = (1, 4, 16, 64)) -> list[int]:
    """The numbers of steps ahead that a table has, none beyond the horizon; the horizon itself is the last.

    >>> steps_to_show(64), steps_to_show(6), steps_to_show(1)
    ([1, 4, 16, 64], [1, 4, 6], [1])
    """
    return [*(steps for steps in wanted if steps < horizon), horizon]

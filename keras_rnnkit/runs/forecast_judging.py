"""The forecasts of a backtest by every method, and what is said about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.table import Table

from keras_rnnkit.data.forecast_windows import contexts_of
from keras_rnnkit.runs import backtest
from keras_rnnkit.runs.forecast_parts import ScaledSeries, Split
from keras_rnnkit.runs.forecast_scores import (
    errors_by_step,
    last_value,
    mase,
    naive_error,
    seasonal_naive,
    steps_to_show,
    truth_of,
)
from keras_rnnkit.runs.page import percent

FED_BACK, AT_ONCE, SMALL = "RNN, fed back", "RNN, all at once", "MLP, fed back"


@dataclass(frozen=True)
class Forecasts:
    """Forecasts from every step of the test parts, by method [N, H], in the data's own units.

    truth: what came [N, H]. next, ahead: lower bound, forecast and upper bound by the model of the next value
    [N, 1, 3], and by the one of all steps ahead [N, H, 3]. units: what errors are divided by [N, 1].
    """

    methods: dict[str, np.ndarray]
    truth: np.ndarray
    next: np.ndarray
    ahead: np.ndarray
    units: np.ndarray

    def errors(self) -> dict[str, np.ndarray]:
        """The root of the mean squared error of each number of steps ahead [H], by method."""
        return {
            name: errors_by_step(values / self.units, self.truth / self.units) for name, values in self.methods.items()
        }


def backtested(bundle: Any, bundle_ahead: Any, small: Any, data: ScaledSeries, settings: Any) -> Forecasts:
    """Forecasts after every step of the test parts, by the bundles and by simple rules.

    Arguments:
        bundle, bundle_ahead: the bundles of the next value and of all steps ahead.
        small: the small network, or None.
        data: the series.
        settings: horizon, season, interval, tau and difference of the pipeline.
    """
    level, horizon, splits = round(100 * settings.interval), settings.horizon, data.splits
    names = (f"lower_{level}", "forecast", f"upper_{level}")

    def intervals(model: Any) -> np.ndarray:
        return backtest.rolled(splits, lambda number, split: stacked(backtest.streamed(model, number, split), names))

    next_value, ahead = intervals(bundle), intervals(bundle_ahead)
    methods = {
        FED_BACK: backtest.rolled(splits, lambda number, split: backtest.fed_back(bundle, number, split, horizon)),
        AT_ONCE: ahead[..., 1],
    }
    if small is not None:
        methods[SMALL] = backtest.rolled(splits, lambda number, split: by_small(small, data, settings, number, split))
    methods["last value"] = backtest.rolled(
        splits, lambda _, split: last_value(split.series.values, split.origins, horizon)
    )
    if settings.season:
        methods["last season"] = backtest.rolled(
            splits, lambda _, split: seasonal_naive(split.series.values, split.origins, horizon, settings.season)
        )
    truth = backtest.rolled(splits, lambda _, split: truth_of(split.judged, split.origins, horizon))
    units = backtest.rolled(splits, lambda number, split: np.full((len(split.origins), 1), data.unit(number)))
    return Forecasts(methods, truth, next_value, ahead, units)


def stacked(outputs: dict[str, np.ndarray], names: tuple[str, ...]) -> np.ndarray:
    return np.stack([outputs[name] for name in names], axis=-1)


def by_small(small: Any, data: ScaledSeries, settings: Any, number: int, split: Split) -> np.ndarray:
    """Forecasts of the small network, fed back."""
    windows = contexts_of(data.scaled(number)[:, :1], split.origins, settings.tau)[..., 0]
    scaled = backtest.fed_back_windows(small, windows, settings.horizon, settings.difference)
    return scaled * data.scaling.scales[number, 0] + data.scaling.centres[number, 0]


def one_step(forecasts: Forecasts, data: ScaledSeries, settings: Any) -> dict[str, dict[str, float]]:
    """Mean squared error and MASE of the forecasts of one step, by method."""
    scales = {"MASE": naive_errors(data, 1)}
    if settings.season:
        by_season = naive_errors(data, settings.season)  # NaN where no training part is longer than a season
        scales |= {"MASE by season": by_season} if np.isfinite(by_season).any() else {}
    truth = forecasts.truth[:, 0]
    return {
        name.removesuffix(", fed back"): {
            "squared error": float(
                errors_by_step((values / forecasts.units)[:, :1], (forecasts.truth / forecasts.units)[:, :1])[0] ** 2
            ),
            **{label: mase(values[:, 0], truth, scale) for label, scale in scales.items()},
        }
        for name, values in forecasts.methods.items()
        if name != AT_ONCE  # which is the same at one step
    }


def naive_errors(data: ScaledSeries, season: int) -> np.ndarray:
    """For each forecast [N], the error of the value one season before, within the training part of its series."""

    def of_series(_: int, split: Split) -> np.ndarray:
        end = split.valid_begin
        error = naive_error(split.series.values[:end], season, split.series.observed[:end])
        return np.full(len(split.origins), error)

    return backtest.rolled(data.splits, of_series)


def one_step_table(rows: dict[str, dict[str, float]], count: int) -> Table:
    """The errors of one step as a table. count: the test values that were forecast."""
    title = f"{count:,} test values, one step ahead"
    table = Table(title, *next(iter(rows.values())), box=None, header_style="bold", pad_edge=False)
    for name, values in rows.items():
        table.add_row(name, *(f"{value:.4g}" for value in values.values()))
    return table


def no_better(errors: dict[str, np.ndarray]) -> str | None:
    """A sentence about a model that is no better than repeating the last value."""
    model, naive = errors[FED_BACK][0], errors["last value"][0]
    if model < naive:
        return None
    return (
        f"The error of the next value is {model:.4g}, and that of repeating the last value is {naive:.4g}: the model "
        "has learned nothing that helps. Train it longer, or on more data."
    )


def always_the_same(forecasts: Forecasts) -> str | None:
    """A sentence about a model whose forecasts of the next value hardly differ from each other; None if they do."""
    values, truth = forecasts.methods[FED_BACK][:, 0] / forecasts.units[:, 0], forecasts.truth[:, 0]
    if len(values) < 2 or values.std() > 0.01 * np.nanstd(truth / forecasts.units[:, 0]):
        return None
    return (
        f"The {len(values):,} forecasts of the next value are all near {forecasts.methods[FED_BACK][0, 0]:.4g}: the "
        "model does not look at the series. Train it longer, or on more data."
    )


def growth_table(errors: dict[str, np.ndarray], count: int, settings: Any) -> Table:
    """The errors by the steps ahead, and how many times the first one the last one is.

    Arguments:
        errors: root mean squared errors [H] by method.
        count: the steps of the test part after which forecasts were made.
        settings: the horizon of the pipeline.
    """
    steps = steps_to_show(settings.horizon)
    title = f"error from {count:,} test steps, by steps ahead"
    table = Table(title, *map(str, steps), "growth", box=None, header_style="bold", pad_edge=False)
    for name, values in errors.items():
        growth = values[-1] / values[0] if values[0] else np.nan
        table.add_row(name, *(f"{values[k - 1]:.4g}" for k in steps), f"{growth:.1f}x")
    return table


def results(metrics: dict[str, Any]) -> dict[str, Any]:
    """The numbers of the report, by what they are of.

    >>> results({"forecasts judged": 9, "share of values inside": 0.9, "one step ahead": {"RNN": {"MASE": 0.5}}})
    {'share of values inside, 9 test values': '90.0%', 'one step ahead, 9 test values': {'RNN': {'MASE': 0.5}}}
    """
    of = f"{metrics['forecasts judged']:,} test values"
    return {
        f"{name}, {of}": percent(value) if name.startswith("share") else value
        for name, value in metrics.items()
        if name != "forecasts judged"
    }

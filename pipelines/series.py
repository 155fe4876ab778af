"""Forecast series: the next value with an interval, and many steps ahead, beside a small network and simple rules.

python pipelines/series.py --data power.csv --time day --target load --covariates temperature --season 7
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

import keras_rnnkit as rk
from keras_rnnkit.runs import forecast_pictures
from keras_rnnkit.runs.forecast_bundles import Bundles, inputs_of, interval_factors, largest_difference, opened_bundles
from keras_rnnkit.runs.forecast_data import pairs_of, read_series, training_windows, validation_streams
from keras_rnnkit.runs.forecast_judging import (
    Forecasts,
    always_the_same,
    backtested,
    growth_table,
    no_better,
    one_step,
    one_step_table,
    results,
)
from keras_rnnkit.runs.forecast_parts import ScaledSeries
from keras_rnnkit.runs.forecast_scores import coverage_by_step, steps_to_show
from keras_rnnkit.runs.loss_curves import plot_losses
from keras_rnnkit.runs.metrics_file import write_metrics
from keras_rnnkit.runs.rows import Rows
from keras_rnnkit.runs.run import Run
from keras_rnnkit.runs.settings import TrainingSettings
from keras_rnnkit.settings import SettingsError

PICTURES = (
    ("next.png", "The forecast of each next value of the test part with its interval, and the observed values."),
    ("ahead.png", "Many steps ahead at once, from four steps of the test part, with their intervals."),
    ("growth.png", "How the error grows with the number of steps ahead."),
    ("coverage.png", "How often the interval had the truth inside, by the number of steps ahead."),
    ("series.png", "The series, and its training, validation and test parts."),
    ("curves.png", "The loss after each epoch, on the training and the validation part."),
)


@dataclass(frozen=True)
class Settings(TrainingSettings):
    """The settings of the pipeline; each field is an option of the command."""

    source: Annotated[
        Literal["sine", "sunspots", "co2"],
        "Built-in series: a noisy sine, the sunspots of each year, or the CO2 of each week.",
    ] = "sine"
    data: Annotated[Path | None, "A .csv, .tsv or .jsonl file with columns. Default: the built-in series."] = None
    target: Annotated[str | None, "Column to forecast. Several columns, separated by commas, are several series."] = (
        None
    )
    time: Annotated[str | None, "Column with the time: numbers or dates, in equal steps."] = None
    series: Annotated[str | None, "Column with the name of the series that a line belongs to."] = None
    covariates: Annotated[str | None, "Columns that are known together with the target, separated by commas."] = None
    gaps: Annotated[Literal["refuse", "interpolate"], "What to do where a number or a time is missing."] = "refuse"
    valid_fraction: Annotated[float | None, "Share of each series for validation; 0.1 for the sine, else 0.15."] = None
    test_fraction: Annotated[
        float | None, "Share of each series for the test, its end; 0.296 for the sine, else 0.2."
    ] = None
    window: Annotated[int | None, "Steps of a training window; 128 for the sine, 104 for CO2, else 64."] = None
    horizon: Annotated[int | None, "Steps ahead; 16 for sunspots and for your own data, else 64."] = None
    season: Annotated[
        int | None,
        "Steps of a season, for a baseline; 628 for the sine, 11 for sunspots, 52 for CO2, none for your own data.",
    ] = None
    difference: Annotated[
        bool | None,
        "Learn the changes from step to step, for series that leave their earlier range. Default: for CO2 only.",
    ] = None
    output: Annotated[
        Literal["gaussian", "quantiles"], "What is learned: a normal distribution, or median and two quantiles."
    ] = "gaussian"
    interval: Annotated[float, "Share of the values that the interval should contain."] = 0.9
    stretch: Annotated[
        bool | None, "Widen the interval until it covers its share of the validation part. Default: not for the sine."
    ] = None
    compare: Annotated[bool, "Also train a small network of the last values (MLP), to compare."] = True
    tau: Annotated[int, "Number of last values that the small network reads."] = 4
    batch: Annotated[int, "Windows in a batch."] = 16
    units: Annotated[int, "Units of each layer."] = 16
    embedding: int = 0  # there are no tokens, so this is no option
    dropout: Annotated[float, "Dropout rate of the layers' outputs."] = 0.0
    epochs: Annotated[int, "Passes over the training part at most."] = 40
    patience: Annotated[int, "Epochs without a better validation loss before training ends; 0 for never."] = 8
    out: Annotated[Path, "Folder of the run: bundles, report, log and checkpoint."] = Path("exported/series")

    MAY_DIFFER = (*TrainingSettings.MAY_DIFFER, "data", "compare", "season")
    COUNTS = ("layers", "units", "epochs", "steps_per_epoch", "window", "horizon", "season", "tau", "batch")
    JUDGES_BUNDLES = True
    SMOKE = {"units": 4, "epochs": 1, "window": 32, "horizon": 4}
    BY_SOURCE = {
        "sine": {"valid_fraction": 0.1, "test_fraction": 0.296, "window": 128, "season": 628, "stretch": False},
        "sunspots": {"horizon": 16, "season": 11},
        "co2": {"window": 104, "season": 52, "difference": True},
        "own": {"horizon": 16},
    }
    DEFAULTS = {
        "valid_fraction": 0.15,
        "test_fraction": 0.2,
        "window": 64,
        "horizon": 64,
        "difference": False,
        "stretch": True,
    }
    """Settings that were left out have the value for their source, or else this one."""

    def __post_init__(self):
        self.adopt()
        for name, value in {**self.DEFAULTS, **self.BY_SOURCE.get("own" if self.data else self.source, {})}.items():
            if getattr(self, name) is None and not (self.smoke and name in self.SMOKE):
                object.__setattr__(self, name, value)
        super().__post_init__()
        for name in ("valid_fraction", "test_fraction", "interval"):
            if not 0 < getattr(self, name) < 1:
                raise SettingsError(f"{name} must be between 0 and 1. Received: {name}={getattr(self, name)}.")
        if self.valid_fraction + self.test_fraction >= 1:
            raise SettingsError(
                "valid_fraction and test_fraction must leave something to train on. Received: "
                f"{self.valid_fraction:g} and {self.test_fraction:g}."
            )
        if round(100 * self.interval) not in range(1, 100):
            raise SettingsError(f"interval must be from 0.01 to 0.99. Received: {self.interval:g}.")
        if self.data and not self.target:
            raise SettingsError("--data needs --target, the name of the column to forecast.")
        own = [f"--{name}" for name in ("target", "time", "series", "covariates") if getattr(self, name)]
        if own and not self.data:
            raise SettingsError(f"{own[0]} names a column of a file. Give the file with --data.")

    @property
    def packages(self):
        return {**super().packages, **({} if self.data or self.source == "sine" else {"series": ("statsmodels",)})}


def run(settings: Settings) -> dict:
    """data -> models -> train -> export -> judge -> report"""
    from keras_rnnkit.runs.forecaster import small_network

    with Run(settings, "series") as run:
        data = read_series(settings, run)
        if settings.bundle is not None:
            return judge_bundle(settings.bundle, data, settings, run)
        histories = {"RNN": train(build(settings, data), data, settings, run)}
        if settings.compare:
            histories["MLP"] = train_small(small_network(settings.tau), data, settings, run)
        model = run.best_model(build, settings, data)
        small = run.best_model(small_network, settings.tau, suffix="_mlp") if settings.compare else None
        bundles = export(model, data, settings, run)
        metrics, forecasts = judge(bundles, small, data, settings, run)
        report(metrics, forecasts, histories, data, settings)
        return run.complete(metrics, PICTURES, results=results(metrics))


# ---------------------------------------------------------------------- model


def build(settings: Settings, data: ScaledSeries):
    """Scaled numbers [B, T, D] to the distribution of the next H values after each step."""
    from keras_rnnkit.runs.forecaster import network

    return network(settings, data.scaling.centres.shape[1], data.scaling.change)


# ---------------------------------------------------------------------- training


def train(model, data: ScaledSeries, settings: Settings, run: Run) -> list[dict[str, float]]:
    """Train on windows of the training parts; the best weights are kept in a file. Returns the logs of every epoch."""
    from keras_rnnkit.runs.forecaster import loss_of

    return run.fit(
        model,
        training_windows(data, settings),
        loss=loss_of(settings),
        validation_data=validation_streams(data, settings),
        tokens=settings.batch * settings.window,
        unit="nats" if settings.output == "gaussian" else "pinball",
    )


def train_small(model, data: ScaledSeries, settings: Settings, run: Run) -> list[dict[str, float]]:
    """Train the small network of the last values in the same way."""
    run.console.print(f"\nthe small network, of the last {settings.tau} values")
    train_part, valid_part = (pairs_of(data, settings, part) for part in ("train", "valid"))
    rows = Rows(*train_part, settings.batch, settings.seed)
    return run.fit(
        model,
        rows,
        loss="mse",
        validation_data=valid_part,
        tokens=settings.batch,
        suffix="_mlp",
        unit="mse",
    )


# ---------------------------------------------------------------------- export


def export(model, data: ScaledSeries, settings: Settings, run: Run) -> Bundles:
    """Write the bundles. Both take numbers as the user has them, and stream: push today's value, get tomorrow's."""
    from keras_rnnkit.runs.forecaster import with_intervals

    factors = interval_factors(model, data, settings)
    loaded = []
    for name, horizon in (("bundle", 1), ("bundle_ahead", settings.horizon)):
        whole = with_intervals(model, data.scaling, settings, factors, horizon)
        report = rk.export_bundle(
            whole,
            settings.out / name,
            modes=["sequence", "stream"],
            saved_model=False,
            calibration=[inputs_of(data, number, settings.window) for number in range(len(data.splits))],
        )
        run.say("exported", f"{settings.out / name}, error {report.error:.1e}")
        loaded.append(rk.runtime.load(settings.out / name))
        run.say(
            "verified",
            f"onnxruntime and Keras differ by {largest_difference(whole, loaded[-1], data):.1e} on the series",
        )
    return Bundles(*loaded)


# ---------------------------------------------------------------------- evaluation


def judge(bundles: Bundles, small, data: ScaledSeries, settings: Settings, run: Run) -> tuple[dict, Forecasts]:
    """A rolling-origin backtest: forecasts after every step of the test parts, by the bundles and by simple rules."""
    forecasts = backtested(bundles.next, bundles.ahead, small, data, settings)
    errors, count = forecasts.errors(), int(np.isfinite(forecasts.truth[:, 0]).sum())
    run.console.print(growth_table(errors, count, settings))
    coverage = float(coverage_by_step(forecasts.next[..., 0], forecasts.next[..., 2], forecasts.truth[:, :1])[0])
    covered = coverage_by_step(forecasts.ahead[..., 0], forecasts.ahead[..., 2], forecasts.truth)
    inside, steps = f"share of values inside of the {settings.interval:.0%} interval", steps_to_show(settings.horizon)
    metrics: dict[str, Any] = {
        f"{inside}, one step ahead": coverage,
        f"{inside}, by steps ahead": {str(k): float(covered[k - 1]) for k in steps},
        "forecasts judged": count,
        "one step ahead": one_step(forecasts, data, settings),
        "root mean squared error by steps ahead": {
            name: {str(k): float(values[k - 1]) for k in steps} for name, values in errors.items()
        },
    }
    run.console.print(one_step_table(metrics["one step ahead"], count))
    run.say("interval", f"{coverage:.1%} of {count:,} test values are inside of the {settings.interval:.0%} interval")
    run.note(no_better(errors))
    run.note(always_the_same(forecasts))
    return metrics, forecasts


# ---------------------------------------------------------------------- report


def report(metrics: dict, forecasts: Forecasts, histories: dict, data: ScaledSeries, settings: Settings) -> None:
    """Write metrics.json and the pictures; those of forecasts show the first series."""
    folder, split = write_metrics(settings, metrics, histories), data.splits[0]
    losses = {"RNN": "nats" if settings.output == "gaussian" else "quantile loss", "MLP": "squared error"}
    if histories:
        plot_losses({name: (losses[name], history) for name, history in histories.items()}, folder / "curves.png")
    count = len(split.origins)
    lower, forecast, upper = np.moveaxis(forecasts.next[:count, 0], -1, 0)
    outputs = {"lower": lower, "forecast": forecast, "upper": upper}
    forecast_pictures.plot_series(data.splits, folder / "series.png")
    forecast_pictures.plot_next(split, outputs, folder / "next.png")
    forecast_pictures.plot_ahead(split, forecasts.ahead[:count], folder / "ahead.png")
    unit = "in the data's unit" if len(data.splits) == 1 else "in standard deviations of the training part"
    forecast_pictures.plot_growth(forecasts.errors(), unit, folder / "growth.png")
    covered = coverage_by_step(forecasts.ahead[..., 0], forecasts.ahead[..., 2], forecasts.truth)
    forecast_pictures.plot_coverage(covered, settings.interval, folder / "coverage.png")


# ---------------------------------------------------------------------- a bundle without its run


def judge_bundle(path: Path, data: ScaledSeries, settings: Settings, run: Run) -> dict:
    """What can be said about the two bundles alone: everything but their training."""
    bundles = opened_bundles(path, data, settings)
    metrics, forecasts = judge(bundles, None, data, settings, run)
    report(metrics, forecasts, {}, data, settings)
    return run.complete(metrics, PICTURES, results=results(metrics))


def main(settings: Settings) -> None:
    """Forecast series with intervals, judge the forecasts, and write bundles to serve and a report."""
    run(settings)


if __name__ == "__main__":
    from keras_rnnkit.cli.training import start

    start(main, Settings)

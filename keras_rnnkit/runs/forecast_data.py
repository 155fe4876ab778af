"""The data of a forecaster: its series as training windows, as streams to validate, and as single pairs."""

from __future__ import annotations

from typing import Any

import numpy as np

import keras_rnnkit as rk
from keras_rnnkit.runs.forecast_parts import ScaledSeries, Scaling, Split, leaves_its_range
from keras_rnnkit.runs.run import Run

HISTORY = 2000
"""Steps before the validation part that validation reads at most, so that long series do not make it slow."""


def read_series(settings: Any, run: Run) -> ScaledSeries:
    """The series of the settings, each cut into its parts. The run begins with them."""
    every = series_of(settings)
    shares = settings.valid_fraction, settings.test_fraction
    splits = [Split.of(series, *shares, settings.window, settings.horizon) for series in every]
    data = ScaledSeries(splits, Scaling.of(splits))
    counts = [
        sum(column) for column in zip(*((s.valid_begin, s.test_begin, len(s.series)) for s in splits), strict=True)
    ]
    names = splits[0].series.name if len(splits) == 1 else f"{len(splits)} series"
    covariates = every[0].covariates.shape[1]
    run.begin(
        f"{names}, {counts[0]:,} values to train on, {counts[1] - counts[0]:,} for validation, "
        f"{counts[2] - counts[1]:,} for the test{f', {covariates} covariates' if covariates else ''}",
        *((series.name, series.channels, series.observed) for series in every),
    )
    run.note(None if settings.difference else trend_warning(splits))
    return data


def series_of(settings: Any) -> list[rk.data.Series]:
    if settings.data:
        targets, covariates = (
            [name.strip() for name in (names or "").split(",") if name.strip()]
            for names in (settings.target, settings.covariates)
        )
        return rk.data.read_series(settings.data, targets, settings.time, settings.series, covariates, settings.gaps)
    sources = {"sunspots": rk.data.sunspots, "co2": rk.data.weekly_co2}
    return [rk.data.noisy_sine(seed=settings.seed) if settings.source == "sine" else sources[settings.source]()]


def trend_warning(splits: list[Split]) -> str | None:
    """A sentence about a series that leaves the range of its training part."""
    share, name = max((leaves_its_range(split), split.series.name) for split in splits)
    if share < 0.2:
        return None
    return (
        f"{share:.0%} of the validation part of {name!r} are outside of the range of its training part. A network "
        "forecasts such values badly; --difference lets it read and forecast changes."
    )


def training_windows(data: ScaledSeries, settings: Any):
    """Windows of the training parts, in a new order in every epoch."""
    numbers = range(len(data.splits))
    return rk.data.ForecastWindows(
        [data.scaled(number)[: data.splits[number].valid_begin] for number in numbers],
        [data.scaled_targets(number)[: data.splits[number].valid_begin] for number in numbers],
        settings.window,
        settings.horizon,
        settings.batch,
        seed=settings.seed,
    )


def validation_streams(data: ScaledSeries, settings: Any):
    """The validation parts, each forecast by a stream that has read the series before, as the exported model will."""
    import tensorflow as tf

    def streams():
        for number, split in enumerate(data.splits):
            first, end = max(0, split.valid_begin - HISTORY), split.test_begin
            x = data.scaled(number)[first:end]
            y = rk.data.targets_of(data.scaled_targets(number)[first:end], settings.horizon).copy()
            y[: split.valid_begin - 1 - first] = np.nan  # what follows these steps is to train on
            yield x[None], y[None]

    channels = data.scaling.centres.shape[1]
    kinds = [tf.TensorSpec((1, None, width), tf.float32) for width in (channels, settings.horizon)]
    dataset = tf.data.Dataset.from_generator(streams, output_signature=tuple(kinds))
    return rk.data.untuned(dataset.apply(tf.data.experimental.assert_cardinality(len(data.splits))))


def pairs_of(data: ScaledSeries, settings: Any, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Each value of a part [N, 1] and the tau values before it [N, tau], scaled; without those that were filled in."""
    x, y = [], []
    for number, split in enumerate(data.splits):
        begin, end = (settings.tau, split.valid_begin) if part == "train" else (split.valid_begin, split.test_begin)
        windows = rk.data.contexts_of(data.scaled(number)[:, :1], np.arange(begin - 1, end - 1), settings.tau)[..., 0]
        target = data.scaled_targets(number)[begin:end, None]
        last = windows[:, -1:] if settings.difference else 0.0
        kept = np.isfinite(target[:, 0])
        x.append((windows - last)[kept])
        y.append((target - last)[kept])
    return np.concatenate(x), np.concatenate(y)

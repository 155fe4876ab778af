"""What an export of a forecaster needs besides its graph: wider intervals, inputs to check it with, and the check."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnnkit.runs.forecast_data import HISTORY, validation_streams
from keras_rnnkit.runs.forecast_parts import ScaledSeries
from keras_rnnkit.runs.forecast_scores import stretch_by_step
from keras_rnnkit.runs.lone_bundle import fitting_options, opened
from keras_rnnkit.settings import SettingsError


@dataclass(frozen=True)
class Bundles:
    """The exported models: of the next value, and of all steps ahead."""

    next: Any
    ahead: Any


def interval_factors(model, data: ScaledSeries, settings: Any) -> np.ndarray:
    """By what the interval of each step ahead is made wider, so that it covers its share of the validation parts."""
    from keras_rnnkit.runs.forecaster import bounds

    if not settings.stretch:
        return np.ones(settings.horizon)
    intervals, truth = [], []
    for x, y in validation_streams(data, settings):
        bounds_of_steps = np.stack(bounds(np.asarray(model(x))[0], settings), axis=-1)
        intervals.append(bounds_of_steps)
        truth.append(np.asarray(y)[0])
    return stretch_by_step(np.concatenate(intervals), np.concatenate(truth), settings.interval)


def inputs_of(data: ScaledSeries, number: int, steps: int) -> dict[str, np.ndarray]:
    """The inputs of an exported model for the last steps of a series."""
    x = data.splits[number].series.channels[None, -steps:].astype(np.float32)
    return {"x": x, **({"series": np.array([number], np.int32)} if len(data.splits) > 1 else {})}


def largest_difference(model, bundle, data: ScaledSeries) -> float:
    """The largest difference of forecasts by Keras and by the bundle, in standard deviations of the training part."""
    largest = 0.0
    for number in range(len(data.splits)):
        inputs = inputs_of(data, number, HISTORY)
        keras, graph = model.predict(inputs if len(inputs) > 1 else inputs["x"], verbose=0), bundle.predict(inputs)
        errors = (np.abs(keras[name] - graph[name]).max() for name in graph)
        largest = max(largest, float(max(errors)) / float(data.scaling.scales[number, 0]))
    return largest


def opened_bundles(path: Path, data: ScaledSeries, settings: Any) -> Bundles:
    """The bundle of the next value and the one of all steps ahead, which is beside it, without their run."""
    names, example = {"bundle": "bundle_ahead", "bundle_ahead": "bundle"}, inputs_of(data, 0, 1)
    other = path.with_name(names.get(path.name, "bundle_ahead"))
    next_path, ahead_path = (other, path) if path.name == "bundle_ahead" else (path, other)
    for folder in (next_path, ahead_path):
        if not folder.is_dir():
            raise SettingsError(f"There is no bundle {folder}. A run of series writes two; copy them side by side.")
    bundles = Bundles(*(opened(folder, list(example), "series") for folder in (next_path, ahead_path)))
    with fitting_options(path, "--target, --covariates and --series"):
        outputs = bundles.ahead.predict(example)
    level, horizon = next(int(name.split("_")[1]) for name in outputs if "_" in name), outputs["forecast"].shape[-1]
    if (round(100 * settings.interval), settings.horizon) != (level, horizon):
        raise SettingsError(
            f"{ahead_path} forecasts {horizon} steps with an interval of {level}%, and the settings have "
            f"{settings.horizon} steps and {settings.interval:.0%}. Give --horizon {horizon} "
            f"--interval {level / 100:g}."
        )
    return bundles

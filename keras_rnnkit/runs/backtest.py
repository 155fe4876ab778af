"""Rolling-origin backtests: forecasts from every step of the test part, by the exported bundle and by simple rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from keras_rnnkit.runs.forecast_parts import Split

CHUNK = 1000
"""Steps that are pushed into a stream at once, so that memory does not grow with the series."""

MOST_ORIGINS = 500
"""Origins of one series whose forecasts are fed back; with more steps in the test part, they are spread over it."""


def rolled(splits: Sequence[Split], forecast: Callable[[int, Split], np.ndarray]) -> np.ndarray:
    """Forecasts of all series [N, ...], one series after the other.

    Arguments:
        splits: the series.
        forecast: the forecasts of one series, by its number.
    """
    return np.concatenate([forecast(number, split) for number, split in enumerate(splits)])


def fixed_of(bundle: Any, number: int, rows: int = 1) -> dict[str, np.ndarray]:
    """The input with the number of the series, where the bundle has one."""
    return {"series": np.full(rows, number, np.int32)} if "series" in bundle.step.inputs else {}


def streamed(bundle: Any, number: int, split: Split) -> dict[str, np.ndarray]:
    """The outputs after each origin [N, H] by name, of a stream that reads the series from its beginning."""
    stream, outputs = bundle.stream(**fixed_of(bundle, number)), []
    channels = split.series.channels.astype(np.float32)[None]
    for first in range(0, channels.shape[1], CHUNK):
        results = stream.push({"x": channels[:, first : first + CHUNK]})
        keep = max(0, split.origins[0] - first)
        outputs.append({name: array[0, keep:] for name, array in results.items()})
    names = outputs[0]
    return {name: np.concatenate([output[name] for output in outputs])[:-1] for name in names}


def origins_to_feed(split: Split) -> np.ndarray:
    """Which of the origins are forecast by feeding back: all, or as many as `MOST_ORIGINS`, evenly spread."""
    count = len(split.origins)
    return np.unique(np.linspace(0, count - 1, min(count, MOST_ORIGINS)).round().astype(int))


def fed_back(bundle: Any, number: int, split: Split, horizon: int) -> np.ndarray:
    """Forecasts [N, horizon] of which each is pushed into the stream as the next value.

    The covariates of the steps ahead are not known; those of the origin are repeated. Rows of origins that were left
    out are NaN.
    """
    channels, places = split.series.channels.astype(np.float32), origins_to_feed(split)
    origins = split.origins[places]
    states, first = states_after(bundle, number, channels, origins)
    stream = bundle.stream(len(origins), **fixed_of(bundle, number, len(origins)))
    stream.restore(states)
    forecasts = np.full((len(split.origins), horizon), np.nan)
    value, covariates = first, channels[origins, 1:]
    for step in range(horizon):
        forecasts[places, step] = value
        if step + 1 < horizon:
            rows = np.concatenate([value[:, None], covariates], axis=1)[:, None]
            value = stream.push({"x": rows})["forecast"][:, 0, 0]
    return forecasts


def states_after(bundle: Any, number: int, channels: np.ndarray, origins: np.ndarray):
    """The states of a stream after each origin, by name [N, ...], and its forecasts of the next values [N]."""
    stream, at, states, forecasts = bundle.stream(**fixed_of(bundle, number)), 0, [], []
    for origin in origins:
        for first in range(at, origin + 1, CHUNK):
            result = stream.push({"x": channels[None, first : min(first + CHUNK, origin + 1)]})
        at = origin + 1
        forecasts.append(result["forecast"][0, -1, 0])
        states.append(stream.snapshot())
    return {name: np.concatenate([state[name] for state in states]) for name in states[0]}, np.array(forecasts)


def fed_back_windows(model: Any, windows: np.ndarray, horizon: int, difference: bool) -> np.ndarray:
    """Forecasts [N, horizon] of a model of the last tau values, each of which is the last value of the next window.

    Arguments:
        model: from windows [N, tau] to the next values [N, 1].
        windows: the values up to each origin, scaled.
        horizon: the number of steps.
        difference: whether the model reads and gives differences from the last value.
    """
    forecasts = np.zeros((len(windows), horizon))
    for step in range(horizon):
        last = windows[:, -1:] if difference else np.zeros((1, 1), windows.dtype)
        value = np.asarray(model(windows - last)) + last
        forecasts[:, step] = value[:, 0]
        windows = np.concatenate([windows[:, 1:], value], axis=1).astype(np.float32)
    return forecasts

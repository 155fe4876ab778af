"""Pictures of forecasts: the series and its parts, the interval of the next value, several steps ahead, and errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnnkit.runs.forecast_parts import Split
from keras_rnnkit.runs.reporting import figure_of, integer_ticks

INK, MODEL, BAND = "#30343b", "#c1440e", "#f2a07b"
DPI = 150
COLOURS = (MODEL, "#7b3fa0", "#1f77b4", "#7f7f7f", "#2a9d5c")


def plot_series(splits: Sequence[Split], path: Path, most: int = 4) -> None:
    """The series with their training, validation and test parts."""
    shown = splits[:most]
    figure = figure_of(6.6, 0.8 + 1.8 * len(shown))
    for axes, split in zip(figure.subplots(len(shown), 1, squeeze=False)[:, 0], shown, strict=True):
        axes.plot(split.series.values, color=INK, linewidth=0.8)
        ends = [0, split.valid_begin, split.test_begin, len(split.series)]
        for begin, end, colour, name in zip(
            ends, ends[1:], ("#ffffff", "#e8eef7", "#fbe9df"), ("training", "validation", "test"), strict=False
        ):
            axes.axvspan(begin - 0.5, end - 0.5, color=colour, zorder=0)
            axes.text((begin + end) / 2, 1.02, name, transform=axes.get_xaxis_transform(), ha="center", fontsize=9)
        axes.set(xlim=(-0.5, len(split.series) - 0.5), ylabel=split.series.name)
    axes.set_xlabel("step")
    figure.savefig(path, dpi=DPI)


def plot_next(split: Split, outputs: Mapping[str, np.ndarray], path: Path, most: int = 300) -> None:
    """The forecast of each next value of the test part with its interval, and the observed values.

    Arguments:
        split: the series.
        outputs: forecast, lower and upper bound after each origin [N].
        path: the file of the picture.
        most: how many steps are drawn, the last ones.
    """
    steps = split.origins[-most:] + 1
    forecast, lower, upper = (outputs[name][-most:] for name in ("forecast", "lower", "upper"))
    truth = split.judged[steps]
    figure = figure_of(6.6, 3.8)
    axes = figure.subplots()
    axes.fill_between(steps, lower, upper, color=BAND, alpha=0.45, linewidth=0, label="interval")
    axes.plot(steps, forecast, color=MODEL, linewidth=1.6, label="forecast of the next value")
    outside = (truth < lower) | (truth > upper)
    axes.plot(steps[~outside], truth[~outside], "o", color=INK, markersize=2.5, label="observed")
    axes.plot(steps[outside], truth[outside], "x", color="#1f77b4", markersize=6, label="outside of the interval")
    axes.set(xlabel="step", ylabel=split.series.name, xlim=(steps[0] - 1, steps[-1] + 1))
    axes.grid(True, alpha=0.3)
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    figure.savefig(path, dpi=DPI)


def plot_ahead(split: Split, intervals: np.ndarray, path: Path, count: int = 4) -> None:
    """All steps ahead from some origins at once, with their intervals, and the observed values.

    Arguments:
        split: the series.
        intervals: lower bound, forecast and upper bound after each origin [N, H, 3].
        path: the file of the picture.
        count: the number of origins.
    """
    horizon = intervals.shape[1]
    last = max(0, len(split.origins) - horizon)
    places = np.unique(np.linspace(0, last, count).round().astype(int))
    figure = figure_of(6.6, 0.8 + 2.1 * -(-len(places) // 2))
    grid = figure.subplots(-(-len(places) // 2), 2 if len(places) > 1 else 1, squeeze=False).ravel()
    for axes, place in zip(grid, places, strict=False):
        origin = split.origins[place]
        first, steps = max(0, origin - 2 * horizon), np.arange(origin + 1, origin + horizon + 1)
        lower, middle, upper = intervals[place].T
        axes.fill_between(steps, lower, upper, color=BAND, alpha=0.45, linewidth=0, label="interval")
        axes.plot(
            np.arange(first, min(steps[-1] + 1, len(split.series))),
            split.series.values[first : steps[-1] + 1],
            color=INK,
            linewidth=1,
            label="observed",
        )
        axes.plot(steps, middle, color=MODEL, linewidth=1.8, label="forecast")
        axes.axvline(origin, color="grey", linestyle=":", linewidth=1)
        axes.set_title(f"after step {origin}", fontsize=10)
        axes.locator_params(axis="x", nbins=4)
        axes.grid(True, alpha=0.3)
    for axes in grid[len(places) :]:
        axes.axis("off")
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False)
    figure.supxlabel("step", fontsize=10)
    figure.supylabel(split.series.name, fontsize=10)
    figure.savefig(path, dpi=DPI)


def plot_growth(errors: Mapping[str, np.ndarray], unit: str, path: Path) -> None:
    """The error of each method by the number of steps ahead.

    Arguments:
        errors: root mean squared errors [H] by method.
        unit: what they are measured in.
        path: the file of the picture.
    """
    figure = figure_of(6.6, 4.2)
    axes = figure.subplots()
    for (name, values), colour in zip(errors.items(), COLOURS, strict=False):
        marker = {"marker": "o"} if len(values) == 1 else {}
        axes.plot(np.arange(1, len(values) + 1), values, color=colour, linewidth=1.8, label=name, **marker)
    axes.set(xlabel="steps ahead", ylabel=f"root mean squared error, {unit}")
    axes.set_ylim(0, None)
    integer_ticks(axes)
    axes.grid(True, alpha=0.3)
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=9)
    figure.savefig(path, dpi=DPI)


def plot_coverage(coverage: np.ndarray, level: float, path: Path) -> None:
    """How often the interval had the truth inside, by the number of steps ahead."""
    figure = figure_of(6.6, 3.2)
    axes: Any = figure.subplots()
    steps = np.arange(1, len(coverage) + 1)
    axes.plot(steps, 100 * coverage, "o-", color=MODEL, markersize=3, label="inside of the interval, test part")
    axes.axhline(100 * level, color="grey", linestyle="--", linewidth=1, label=f"{level:.0%}, as it should be")
    axes.set(xlabel="steps ahead", ylabel="values inside, %", ylim=(0, 103))
    integer_ticks(axes)
    axes.grid(True, alpha=0.3)
    axes.legend(frameon=False, loc="lower left")
    figure.savefig(path, dpi=DPI)

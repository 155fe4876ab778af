"""Pictures of gradients: their norms by lag, singular values, clipping, and what the networks learn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnnkit.runs.reporting import figure_of, integer_ticks
from keras_rnnkit.runs.training_curves import DPI, WIDTH

SMALLEST = 1e-12
"""Where the axis of norms ends: a gradient below it is nothing in float32."""
WHITE = {"facecolor": "white", "edgecolor": "none", "pad": 1}
"""Behind words that stand on lines."""

Norms = Mapping[str, np.ndarray]


def plot_norms(panels: Mapping[str, Norms], path: Path) -> None:
    """The norm of dL/dh_t by lag, in proportion to that of lag 0: a panel for each title, a line for each network."""
    figure = figure_of(WIDTH, 3.2 * len(panels) + 0.8)
    grid = figure.subplots(len(panels), 1, squeeze=False, sharex=True)[:, 0]
    colours = colours_of(*panels.values())
    for axes, (title, networks) in zip(grid, panels.items(), strict=True):
        draw_norms(axes, title, networks, colours)
        axes.tick_params(labelbottom=True)
    common_legend(figure, grid[0])
    figure.savefig(path, dpi=DPI)


def colours_of(*panels: Mapping[str, Any]) -> dict[str, str]:
    """A colour for each name that any panel has, so that a network has the same one in all of them.

    >>> colours_of({"tanh": 1, "gru": 2}, {"gru": 3, "lstm": 4})
    {'tanh': 'C0', 'gru': 'C1', 'lstm': 'C2'}
    """
    names = dict.fromkeys(name for panel in panels for name in panel)
    return {name: f"C{number}" for number, name in enumerate(names)}


def draw_norms(axes: Any, title: str, networks: Norms, colours: Mapping[str, str]) -> None:
    for name, norms in networks.items():
        values = np.maximum(norms / max(norms[0], 1e-300), SMALLEST / 10)
        axes.semilogy(values, label=name, color=colours[name])
    axes.axhline(1e-3, color="grey", linestyle=":", linewidth=1)
    axes.text(0, 1.4e-4, "a thousandth", fontsize=8, color="dimgrey", bbox=WHITE)
    axes.set(
        title=title, xlabel="lag: steps back from the loss", ylim=(SMALLEST, 1e4), ylabel="norm of dL/dh, lag 0 = 1"
    )
    axes.grid(True, alpha=0.3)


def common_legend(figure: Any, axes: Any) -> None:
    """The names of the lines, below all panels."""
    handles, labels = axes.get_legend_handles_labels()
    longest = max(map(len, labels), default=0)
    figure.legend(
        handles, labels, loc="outside lower center", ncols=2 if longest > 16 else 3, frameon=False, fontsize=9
    )


def panels_of(count: int) -> tuple[Any, np.ndarray]:
    """A figure with a panel for each of some networks, two in a row."""
    columns = min(2, count)
    rows = -(-count // columns)
    figure = figure_of(WIDTH, 2.3 * rows + 0.4)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for axes in grid[count:]:
        axes.axis("off")
    for axes in grid[max(0, count - columns) : count]:  # the lowest of each column
        axes.tick_params(labelbottom=True)
    return figure, grid


def plot_products(networks: Norms, path: Path) -> None:
    """The singular values of dh_T/dh_t by lag [T - 1, S], a panel for each network."""
    figure, grid = panels_of(len(networks))
    for axes, (name, values) in zip(grid, networks.items(), strict=False):
        kept, lags = np.maximum(values, SMALLEST / 10), np.arange(1, len(values) + 1)
        axes.fill_between(lags, kept[:, -1], kept[:, 0], alpha=0.2)
        axes.semilogy(lags, kept[:, 0], label="largest")
        axes.semilogy(lags, np.median(kept, axis=1), label="median")
        axes.axhline(1, color="grey", linestyle=":", linewidth=1)
        axes.set(title=name, ylim=(SMALLEST, 1e4))
        axes.grid(True, alpha=0.3)
    grid[0].legend(frameon=False, loc="lower left")
    figure.supxlabel("lag", fontsize=10)
    figure.supylabel("singular values of dh(T)/dh(T - lag)", fontsize=10)
    figure.savefig(path, dpi=DPI)


def plot_spectra(networks: Mapping[str, Norms], path: Path) -> None:
    """The singular values of the recurrent matrices, a panel for each network, a line for each gate."""
    highest = 1.08 * max(1.0, *(float(values[0]) for gates in networks.values() for values in gates.values()))
    figure, grid = panels_of(len(networks))
    for axes, (name, gates) in zip(grid, networks.items(), strict=False):
        for gate, values in gates.items():
            axes.plot(np.arange(1, len(values) + 1), values, label=gate)
        axes.axhline(1, color="grey", linestyle=":", linewidth=1)
        axes.set(title=name, ylim=(0, highest))
        axes.grid(True, alpha=0.3)
        axes.legend(frameon=False, fontsize=7, ncols=2)
    figure.supxlabel("number of the singular value", fontsize=10)
    figure.supylabel("singular value of the recurrent matrix", fontsize=10)
    figure.savefig(path, dpi=DPI)


def plot_learning(tasks: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """The validation loss of each network over the batches, a panel for each task; see `draw_learning`."""
    figure = figure_of(WIDTH, 3.2 * len(tasks) + 0.8)
    grid = figure.subplots(len(tasks), 1, squeeze=False)[:, 0]
    colours = colours_of(*(task["losses"] for task in tasks.values()))
    for axes, (title, task) in zip(grid, tasks.items(), strict=True):
        draw_learning(axes, title, task, colours)
    common_legend(figure, grid[0])
    figure.savefig(path, dpi=DPI)


def draw_learning(axes: Any, title: str, task: Mapping[str, Any], colours: Mapping[str, str]) -> None:
    """The losses on a task.

    Arguments:
        task: "losses" by network, "batches" of an epoch, "unit", "baseline" and "target".
        colours: of the networks.
    """
    for name, losses in task["losses"].items():
        batches = task["batches"] * np.arange(1, len(losses) + 1)
        axes.semilogy(batches, losses, "o-", markersize=3, label=name, color=colours[name])
    for key, label, colour in (("baseline", "without a memory", "dimgrey"), ("target", "solved below", "green")):
        axes.axhline(task[key], color=colour, linestyle=":", linewidth=1)
        place = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "ha": "right"}
        axes.annotate(label, (1, task[key]), (-4, 3), fontsize=8, color=colour, bbox=WHITE, **place)
    axes.set(title=title, xlabel="batches", ylabel=f"loss on held-out sequences, {task['unit']}")
    axes.set_xlim(0, None)
    integer_ticks(axes)
    axes.grid(True, alpha=0.3)


def plot_starts(title: str, norms: Norms, task: Mapping[str, Any], path: Path) -> None:
    """First weights: gradients before training, and below it what is learned."""
    figure = figure_of(WIDTH, 8.4)
    above, below = figure.subplots(2, 1)
    colours = colours_of(norms, task["losses"])
    draw_norms(above, title, norms, colours)
    draw_learning(below, "what they learn", task, colours)
    common_legend(figure, below)
    figure.savefig(path, dpi=DPI)


def plot_clipping(trainings: Mapping[str, Mapping[str, np.ndarray]], path: Path) -> None:
    """The loss and the norm of the whole gradient of each batch, for each training; both have "loss" and "norm"."""
    figure = figure_of(WIDTH, 6.4)
    loss, norm = figure.subplots(2, 1)
    longest = max(len(values["loss"]) for values in trainings.values())
    for label, values in trainings.items():
        count = len(values["loss"])
        ending = f", no number after batch {count}" if count < longest else ""
        for axes, name in ((loss, "loss"), (norm, "norm")):
            axes.semilogy(np.arange(1, count + 1), values[name], "o-", markersize=3, label=label + ending)
    loss.set(title="loss of each batch", xlabel="batches")
    norm.set(title="norm of its gradient before clipping", xlabel="batches")
    for axes, name in ((loss, "loss"), (norm, "norm")):
        integer_ticks(axes)
        axes.grid(True, alpha=0.3)
        axes.set_ylim(None, 1e4 * max(values[name][0] for values in trainings.values()))
    loss.legend(frameon=False)
    figure.savefig(path, dpi=DPI)

"""The report of a language model: metrics, curves, and the activity of hidden units over a text."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnnkit.data import plot_rank_frequency
from keras_rnnkit.text.files import replacing

COLUMNS, ROWS = 100, 12


def write_report(settings, metrics: dict[str, Any], history, vocabulary, parts, model) -> Path:
    """Write metrics.json, curves.png, rank_frequency.png and, for characters, units.png. Returns the folder."""
    folder = Path(settings.out) / "report"
    folder.mkdir(parents=True, exist_ok=True)
    values = {k: str(v) if isinstance(v, Path) else v for k, v in dataclasses.asdict(settings).items()}
    content = {**metrics, "settings": values, "history": history}
    with replacing(folder / "metrics.json") as temporary:
        temporary.write_text(json.dumps(content, indent=2), encoding="utf-8")
    plot_curves(history, folder / "curves.png")
    plot_rank_frequency(parts["train"].tolist(), folder / "rank_frequency.png")
    if settings.unit == "char":
        plot_units(model, parts["test"][: COLUMNS * ROWS], vocabulary, folder / "units.png")
    return folder


def figure_of(width: float, height: float):
    """An empty figure that needs no window; width and height in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def plot_curves(history: list[dict[str, float]], path: Path) -> None:
    """Loss and perplexity over the epochs, and the norm of the gradient."""
    figure = figure_of(10, 3.6)
    epochs = range(1, len(history) + 1)
    left, middle, right = figure.subplots(1, 3)
    for name, label in (("loss", "train"), ("val_loss", "valid")):
        left.plot(epochs, [row[name] for row in history], "o-", markersize=3, label=label)
        middle.plot(epochs, [math.exp(row[name]) for row in history], "o-", markersize=3, label=label)
    left.set(xlabel="epoch", ylabel="nats per token")
    middle.set(xlabel="epoch", ylabel="perplexity")
    right.plot(epochs, [row["gradient_norm"] for row in history], "o-", markersize=3, label="mean gradient norm")
    right.plot(epochs, [row["clip_ratio"] for row in history], "o-", markersize=3, label="fraction of steps clipped")
    right.set(xlabel="epoch", ylim=(0, None))
    for axes in (left, middle, right):
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(True, alpha=0.3)
        axes.legend(frameon=False)
    figure.savefig(path, dpi=150)


def plot_units(model, ids: np.ndarray, vocabulary, path: Path, count: int = 3) -> None:
    """Text coloured by a hidden unit's activity after each character, for units whose activity is large and changes.

    As in A. Karpathy, Visualizing and understanding recurrent networks, 2015.
    """
    import keras

    layer = [layer for layer in model.layers if isinstance(layer, keras.layers.RNN)][-1]
    activity = np.asarray(keras.Model(model.input, layer.output)(ids[None]))[0]  # [T, U]
    changes = np.abs(np.diff(np.sign(activity), axis=0)).mean(0)
    decided = np.abs(activity).mean(0) * (changes > 0.02) * (changes < 0.4)
    figure = figure_of(14, 2.6 * count)
    for axes, unit in zip(np.atleast_1d(figure.subplots(count, 1)), np.argsort(-decided)[:count], strict=True):
        draw(axes, vocabulary, ids, activity[:, unit], f"unit {unit} of {layer.name}: blue below zero, red above")
    figure.savefig(path, dpi=110)


def draw(axes, vocabulary, ids: np.ndarray, values: np.ndarray, title: str) -> None:
    from matplotlib import colormaps

    colours = colormaps["coolwarm"](0.5 + 0.5 * values / max(np.abs(values).max(), 1e-9))
    for place, (token, colour) in enumerate(zip(ids, colours, strict=True)):
        row, column = divmod(place, COLUMNS)
        axes.add_patch(rectangle(column, row, colour))
        text = vocabulary.tokens[token].replace("\n", "\u00b6").replace("$", r"\$")
        text = text if len(text) < 3 else "\u00b7"  # a reserved token
        axes.text(column + 0.5, row + 0.55, text, ha="center", va="center", fontsize=6, family="monospace")
    axes.set(xlim=(0, COLUMNS), ylim=(-(-len(ids) // COLUMNS), 0), title=title)
    axes.axis("off")


def rectangle(column: int, row: int, colour):
    from matplotlib.patches import Rectangle

    return Rectangle((column, row), 1, 1, facecolor=colour, edgecolor="none")

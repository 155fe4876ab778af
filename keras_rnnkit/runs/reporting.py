"""The report of a language model: metrics, curves, and the activity of hidden units over a text."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnnkit.data import plot_rank_frequency
from keras_rnnkit.runs.metrics_file import write_metrics

COLUMNS, ROWS = 80, 15


def write_report(settings, metrics: dict[str, Any], history, vocabulary, parts, model) -> Path:
    """Write metrics.json, curves.png, rank_frequency.png and, for characters, units.png. Returns the folder.

    Arguments:
        parts: the tokens of the training text, "train" [T], and the test text, "test" [T]; or test texts [N, T] that
            are independent of each other, padded with 0.
    """
    folder = write_metrics(settings, metrics, history)
    plot_curves(history, folder / "curves.png")
    plot_rank_frequency(parts["train"].tolist(), folder / "rank_frequency.png")
    if settings.unit == "char":
        plot_units(model, beginning(parts["test"]), vocabulary, folder / "units.png")
    return folder


def beginning(ids: np.ndarray) -> np.ndarray:
    """As much of a text, or as many texts, as a picture has place for."""
    if ids.ndim == 1:
        return ids[: COLUMNS * ROWS]
    return ids[: max(1, int(np.searchsorted(np.cumsum((ids > 0).sum(1)), COLUMNS * ROWS, side="right")))]


def figure_of(width: float, height: float):
    """An empty figure that needs no window; width and height in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def integer_ticks(axes: Any) -> None:
    """Let the horizontal axis have ticks at whole numbers only, also where there is a single one."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def plot_curves(history: list[dict[str, float]], path: Path) -> None:
    """Loss and perplexity over the epochs, the norm of the gradient, and how often it was clipped."""
    figure = figure_of(9, 6)
    epochs = range(1, len(history) + 1)
    (loss, perplexity), (norm, clipped) = figure.subplots(2, 2)
    for name, label in (("loss", "train"), ("val_loss", "valid")):
        loss.plot(epochs, [row[name] for row in history], "o-", markersize=3, label=label)
        perplexity.plot(epochs, [math.exp(min(row[name], 700)) for row in history], "o-", markersize=3, label=label)
    norm.plot(epochs, [row["gradient_norm"] for row in history], "o-", markersize=3)
    clipped.plot(epochs, [100 * row["clip_ratio"] for row in history], "o-", markersize=3)
    titles = ("loss, nats per token", "perplexity", "mean norm of the gradient", "steps with a clipped gradient, %")
    for axes, title in zip((loss, perplexity, norm, clipped), titles, strict=True):
        axes.set(xlabel="epoch", title=title, xlim=(0.5, len(history) + 0.5))
        integer_ticks(axes)
        axes.grid(True, alpha=0.3)
    loss.legend(frameon=False)
    perplexity.legend(frameon=False)
    norm.set_ylim(0, None)
    clipped.set_ylim(-3, 103)
    figure.savefig(path, dpi=110)


def plot_units(model, ids: np.ndarray, vocabulary, path: Path, count: int = 3) -> None:
    """Text coloured by a hidden unit's activity after each character, for units whose activity tells something.

    As in A. Karpathy, Visualizing and understanding recurrent networks, 2015.

    Arguments:
        model: a model from tokens to logits with a recurrent layer.
        ids: one text [T], or texts [N, T] that each begin with new states, padded with 0.
        vocabulary: of the texts.
        path: the file of the picture.
        count: the number of units.
    """
    import keras

    layer = [layer for layer in model.layers if isinstance(layer, keras.layers.RNN)][-1]
    rows = ids if ids.ndim == 2 else ids[None]
    activity = np.asarray(keras.Model(model.input, layer.output)(rows))[rows > 0 if ids.ndim == 2 else rows >= 0]
    tokens = rows[rows > 0] if ids.ndim == 2 else ids
    figure = figure_of(8.4, 3.2 * count)
    for axes, unit in zip(np.atleast_1d(figure.subplots(count, 1)), telling_units(activity, count), strict=True):
        draw(axes, vocabulary, tokens, activity[:, unit], f"unit {unit} of {layer.name}: blue below zero, red above")
    figure.savefig(path, dpi=150)


def telling_units(activity: np.ndarray, count: int) -> list[int]:
    """The units whose activity [T, U] varies most, while it changes its sign now and then.

    A unit that is always near 1 or -1 is saturated: it is large, but it tells nothing about the text.

    >>> telling_units(np.array([[0.99, 0.8, 0.1], [0.99, -0.8, 0.1], [0.99, -0.8, 0.1], [0.99, 0.8, 0.1]]), 1)
    [1]
    """
    changes = np.abs(np.diff(np.sign(activity), axis=0)).mean(0) / 2
    saturated = (np.abs(activity) > 0.9).mean(0) > 0.5
    varied = activity.std(0) * np.where((changes > 0.01) & (changes < 0.7) & ~saturated, 1.0, 0.1)
    return np.argsort(-varied, kind="stable")[:count].tolist()


def draw(axes, vocabulary, ids: np.ndarray, values: np.ndarray, title: str) -> None:
    from matplotlib import colormaps

    colours = colormaps["coolwarm"](0.5 + 0.5 * values / max(np.abs(values).max(), 1e-9))
    rows = -(-len(ids) // COLUMNS)
    background = np.ones((rows, COLUMNS, 4))
    background.reshape(-1, 4)[: len(ids)] = colours
    axes.imshow(background, extent=(0, COLUMNS, rows, 0), aspect="auto", interpolation="nearest")
    places: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for place, (token, colour) in enumerate(zip(ids, colours, strict=True)):
        row, column = divmod(place, COLUMNS)
        text = vocabulary.tokens[token].replace("\n", "\u00b6").replace("$", r"\$")
        text = text if len(text) < 3 else "\u00b7"  # a reserved token
        if not text.isspace():
            places[text, ink_on(colour)].append((column + 0.5, row + 0.55))
    for (text, ink), centres in places.items():
        write_letter(axes, text, centres, ink)
    axes.set(xlim=(0, COLUMNS), ylim=(rows, 0))
    axes.set_title(title, loc="left")  # a phone shows the left of the picture first
    axes.axis("off")


def write_letter(axes, text: str, centres: list[tuple[float, float]], ink: str, size: float = 7) -> None:
    """A letter at many places, as one object: a picture of a thousand texts takes seconds.

    Arguments:
        axes: where it is written.
        text: the letter.
        centres: the places, as columns and rows of the axes.
        ink: its colour.
        size: in points.
    """
    from matplotlib.collections import PathCollection
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath
    from matplotlib.transforms import Affine2D

    outline = TextPath((0, 0), text, size=size, prop=FontProperties(family="monospace"))
    extents = outline.get_extents()
    shift = Affine2D().translate(-extents.x0 - extents.width / 2, -0.36 * size).scale(1 / 72)
    at = {"offsets": centres, "offset_transform": axes.transData}
    collection = PathCollection([outline], facecolors=ink, linewidths=0, **at)
    collection.set_transform(shift + axes.figure.dpi_scale_trans)
    collection.set_snap(False)  # to whole pixels, by which thin letters would differ from each other
    collection.set_in_layout(False)  # it is inside the axes
    axes.add_collection(collection)


def ink_on(colour) -> str:
    """The colour of a text that can be read on a background: red, green and blue from 0 to 1.

    >>> ink_on((0.2, 0.2, 0.7)), ink_on((0.9, 0.9, 0.9))
    ('white', 'black')
    """
    red, green, blue = colour[:3]
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"

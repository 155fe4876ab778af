"""Pictures of drawings, narrow enough for a phone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnnkit.data.strokes import DOWN
from keras_rnnkit.runs.reporting import figure_of
from keras_rnnkit.runs.training_curves import DPI, WIDTH


def image_sheet(drawings: np.ndarray, examples: np.ndarray, labels: Sequence[str], levels: int, path: Path) -> None:
    """Drawings of each label in a row, beside a training image.

    Arguments:
        drawings: shades [L, N, S, S].
        examples: a training image of each label [L, S, S].
        labels: their names.
        levels: the number of shades.
        path: the file of the picture.
    """
    count = drawings.shape[1]
    figure = figure_of(WIDTH, WIDTH / (count + 1.6) * (len(labels) + 0.4))
    cells = figure.subplots(len(labels), count + 1, squeeze=False, width_ratios=[1.3, *[1] * count])
    for row, name, example, images in zip(cells, labels, examples, drawings, strict=True):
        row[0].set_ylabel(name[:12], rotation=0, ha="right", va="center", fontsize=10)
        for axes, image in zip(row, [example, *images], strict=True):
            show(axes, image, levels)
    cells[0, 0].set_title("real", fontsize=9)
    cells[0, min(1, count)].set_title("drawn", fontsize=9)
    figure.savefig(path, dpi=DPI)


def completion_sheet(
    images: np.ndarray, completions: np.ndarray, names: Sequence[str], levels: int, path: Path
) -> None:
    """Images, their upper halves, and drawings that begin with these halves; a line ends what was given.

    Arguments:
        images: shades of test images [N, S, S].
        completions: [N, M, S, S].
        names: the labels of the images.
        levels: the number of shades.
        path: the file of the picture.
    """
    count, size = completions.shape[1], images.shape[-1]
    figure = figure_of(WIDTH, WIDTH / (count + 2) * (len(images) + 0.4))
    cells = figure.subplots(len(images), count + 2, squeeze=False)
    for row, image, drawings, name in zip(cells, images, completions, names, strict=True):
        half = np.where(np.arange(size)[:, None] < size // 2, image, -1)
        row[0].set_ylabel(name[:12], rotation=0, ha="right", va="center", fontsize=10)
        for axes, shown in zip(row, [image, half, *drawings], strict=True):
            show(axes, shown, levels)
            axes.axhline(size // 2 - 0.5, color="orange", linewidth=1)
    for axes, title in zip(cells[0], ["real", "given", "drawn"], strict=False):
        axes.set_title(title, fontsize=9)
    figure.savefig(path, dpi=DPI)


def show(axes: Any, image: np.ndarray, levels: int) -> None:
    """Shades of grey; what is below 0 is pale blue, because it was not shown to the model."""
    from matplotlib import colormaps

    grey = colormaps["gray"].with_extremes(under=(0.8, 0.87, 0.95))
    axes.imshow(image, cmap=grey, vmin=0, vmax=levels - 1, interpolation="nearest")
    axes.set(xticks=[], yticks=[])


def stroke_sheet(drawings: Sequence[Sequence[np.ndarray]], examples: Sequence[np.ndarray], path: Path) -> None:
    """Drawings with a pen, those of one label in a row, beside one of the training data.

    Arguments:
        drawings: for each label its drawings [T, 3]: movements, and what the pen does.
        examples: a drawing of the training data for each label.
        path: the file of the picture.
    """
    count = len(drawings[0])
    figure = figure_of(WIDTH, WIDTH / (count + 1.6) * (len(drawings) + 0.4) * 1.1)
    cells = figure.subplots(len(drawings), count + 1, squeeze=False)
    for number, (row, example, drawn) in enumerate(zip(cells, examples, drawings, strict=True)):
        row[0].set_ylabel(str(number), rotation=0, ha="right", va="center", fontsize=10)
        for axes, points in zip(row, [example, *drawn], strict=True):
            draw_strokes(axes, points)
    cells[0, 0].set_title("generated", fontsize=9)
    cells[0, min(1, count)].set_title("drawn", fontsize=9)
    figure.savefig(path, dpi=DPI)


def draw_strokes(axes: Any, points: np.ndarray) -> None:
    """Draw the strokes of [T, 3], movements and pens, as lines."""
    places, begin = np.cumsum(points[:, :2], axis=0), 0
    places = places - (places.min(0) + places.max(0)) / 2
    for end in [*np.flatnonzero(points[:, 2] != DOWN), len(points) - 1]:
        if end >= begin:
            axes.plot(*places[begin : end + 1].T, color="black", linewidth=1.4, solid_capstyle="round")
        begin = int(end) + 1
    axes.set(xticks=[], yticks=[], xlim=(-0.75, 0.75), ylim=(0.75, -0.75), aspect="equal")
    for spine in axes.spines.values():
        spine.set_visible(False)

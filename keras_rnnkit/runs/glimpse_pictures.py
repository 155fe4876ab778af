"""Pictures of images that were read glimpse by glimpse, narrow enough for a phone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from keras_rnnkit.runs.reporting import figure_of
from keras_rnnkit.runs.training_curves import DPI, WIDTH

IMAGES, COLUMNS = 8, 7


def plot_accuracy(curves: dict[str, list[tuple[float, float]]], path: Path) -> None:
    """Accuracy by the share of the pixels that was seen, both in percent; a single point is drawn as a mark."""
    figure = figure_of(WIDTH, 4)
    axes = figure.subplots()
    for name, points in curves.items():
        x, y = zip(*points, strict=True)
        axes.plot(x, y, "o-" if len(points) > 1 else "D", markersize=3 if len(points) > 1 else 7, label=name)
    axes.set(xlabel="pixels seen, %", ylabel="test images right, %", xlim=(0, 103), ylim=(None, 101))
    axes.grid(True, alpha=0.3)
    figure.legend(frameon=False, loc="outside upper center", ncols=2, fontsize=9)
    figure.savefig(path, dpi=DPI)


def glimpse_sheet(
    images: np.ndarray,
    numbers: np.ndarray,
    results: dict[str, np.ndarray],
    labels: list[str],
    patch: int,
    path: Path,
) -> None:
    """Test images with the path of the glimpses, and what was seen and believed after some of them.

    Arguments:
        images, numbers: the test images [N, S, S], and the numbers of their labels [N].
        results: "label" [N, T, labels] and "places" [N, T].
        labels: the names of the labels.
        patch: height and width of a glimpse.
        path: the file of the picture.
    """
    wrong = results["label"][:, -1].argmax(-1) != numbers
    rows = [*np.flatnonzero(~wrong)[: IMAGES - min(2, wrong.sum())], *np.flatnonzero(wrong)[:2]]
    steps = np.unique(np.linspace(1, results["places"].shape[1], COLUMNS - 1).round().astype(int))
    figure = figure_of(WIDTH, 1.12 * len(rows) + 0.1)
    cells = figure.subplots(len(rows), len(steps) + 1, squeeze=False)
    for row, number in zip(cells, rows, strict=True):
        places = results["places"][number]
        row[0].imshow(images[number], cmap="gray", vmin=0, vmax=255)
        draw_path(row[0], places, images.shape[-1] // patch, patch)
        row[0].set_title(f"it is {labels[numbers[number]]}", fontsize=9.5)
        for axes, step in zip(row[1:], steps, strict=True):
            p = results["label"][number, step - 1]
            axes.imshow(seen_of(images[number], places[:step], patch))
            right = p.argmax() == numbers[number]
            axes.set_title(
                f"{labels[p.argmax()]}, {p.max():.0%}", fontsize=9.5, color="black" if right else "firebrick"
            )
    for axes in cells.ravel():
        axes.set(xticks=[], yticks=[])
    figure.savefig(path, dpi=DPI)


def draw_path(axes: Any, places: np.ndarray, side: int, patch: int) -> None:
    """The way from glimpse to glimpse over an image; it begins at the dot."""
    y, x = ((place + 0.5) * patch - 0.5 for place in np.divmod(places, side))
    axes.plot(x, y, "-", color="orange", linewidth=1.2)
    axes.plot(x[:1], y[:1], "o", color="orange", markersize=5)


def seen_of(image: np.ndarray, places: np.ndarray, patch: int) -> np.ndarray:
    """An image [S, S] in red, green and blue, of which only the patches at some places are shown; the others are blue.

    >>> seen_of(np.full((2, 2), 255), np.array([0]), 1).round(2)[:, :, 0].tolist()
    [[1.0, 0.55], [0.55, 0.55]]
    """
    side = image.shape[-1] // patch
    seen = np.zeros((side, side), bool)
    seen.ravel()[places] = True
    shown = np.repeat(np.repeat(seen, patch, 0), patch, 1)[..., None]
    return np.where(shown, np.repeat(image[..., None] / 255, 3, -1), (0.55, 0.65, 0.8))

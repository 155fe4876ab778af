"""Pictures of captions and of attention."""

from __future__ import annotations

import math
import textwrap
from pathlib import Path

import numpy as np

from keras_rnnkit.runs.reporting import figure_of


def contact_sheet(
    images: np.ndarray,
    captions: list[str],
    wanted: list[list[str]],
    path: Path,
    names: list[str] | None = None,
    count: int = 16,
    columns: int = 4,
) -> None:
    """Images with their captions and the names of their files. Wrong ones are in red, with a reference below."""
    right = [caption in texts for caption, texts in zip(captions, wanted, strict=True)]
    wrong = [i for i, ok in enumerate(right) if not ok][: count // 3]
    shown = [*[i for i, ok in enumerate(right) if ok][: count - len(wrong)], *wrong]
    figure = figure_of(2.4 * columns, 3.5 * -(-len(shown) // columns))
    for axes, i in zip(np.atleast_1d(figure.subplots(-(-len(shown) // columns), columns)).ravel(), shown, strict=False):
        axes.imshow(images[i], interpolation="nearest")
        axes.set_title(wrapped(captions[i]), fontsize=9, color="black" if right[i] else "firebrick")
        below = [] if right[i] else [wrapped(wanted[i][0])]
        axes.set_xlabel("\n".join([*below, *([names[i]] if names else [])]), fontsize=9)
        axes.set(xticks=[], yticks=[])
    for axes in figure.axes[len(shown) :]:
        axes.axis("off")
    figure.savefig(path, dpi=110)


def wrapped(text: str) -> str:
    return "\n".join(textwrap.wrap(text, 30))


def attention_on_images(images: np.ndarray, found, words, grid: tuple[int, int], path: Path) -> None:
    """The attention of each word of a caption, as light on the image. grid: rows and columns of the features."""
    count = len(images)
    longest = max(len(caption.tokens) for caption in found)
    figure = figure_of(1.25 * (longest + 1), 1.6 * count)
    places = figure.subplots(count, longest + 1, squeeze=False)
    for row, caption, image in zip(places, found, images, strict=True):
        row[0].imshow(image)
        for axes, token, weights in zip(row[1:], caption.tokens, caption.attention, strict=False):
            axes.imshow(lit(image, weights.reshape(grid)))
            axes.set_title(words.tokens[token], fontsize=9)
    for axes in places.ravel():
        axes.axis("off")
    figure.savefig(path, dpi=110)


def lit(image: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """An image [H, W, 3] that is bright where the weights of a grid are large, and dark grey elsewhere.

    The image is drawn in pale shades first, so that light is seen on dark images too.

    >>> lit(np.zeros((4, 4, 3)), np.array([[1.0, 0.0], [0.0, 0.0]]))[[0, 3], [0, 3], 0].tolist()
    [0.4, 0.1]
    """
    light = weights / max(weights.max(), 1e-9)
    rows, columns = (np.arange(image.shape[i]) * light.shape[i] // image.shape[i] for i in (0, 1))
    pale = 0.4 + 0.6 * image / 255
    return pale * (0.25 + 0.75 * light[rows][:, columns])[..., None]


def heatmaps(examples, path: Path, columns: int = 2) -> None:
    """Attention weights as pictures. Each example has the tokens of the source and of the target, and the weights."""
    rows = max(1, math.ceil(len(examples) / columns))
    figure = figure_of(4.8 * columns, 3.6 * rows)
    grid = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for axes, (source, target, weights) in zip(grid, examples, strict=False):
        axes.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.set_xticks(range(len(source)), source, fontsize=8, rotation=0 if max(map(len, source)) == 1 else 60)
        axes.set_yticks(range(len(target)), target, fontsize=8)
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
    for axes in grid[len(examples) :]:
        axes.axis("off")
    figure.savefig(path, dpi=120)

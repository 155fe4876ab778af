"""Drawings by an exported model: of every label, and of the lower halves of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from keras_rnnkit.data.strokes import SHAPES
from keras_rnnkit.runs.degenerate import degenerate
from keras_rnnkit.runs.drawing_data import one_hot
from keras_rnnkit.runs.drawing_pictures import completion_sheet
from keras_rnnkit.runs.image_parts import ImageParts
from keras_rnnkit.runs.shades import drawn_rows, shades_of


def draw(bundle, images: ImageParts, settings: Any, way: str):
    """Drawings of every label by a bundle: shades [L, N, S, S], or for each label its strokes."""
    from keras_rnnkit.runs.stroke_mixture import drawn_strokes

    labels, s = len(SHAPES) if way == "strokes" else len(images.labels), settings
    label = one_hot(np.repeat(np.arange(labels), s.samples), labels)
    if way == "strokes":
        points = drawn_strokes(bundle, label, 40, s.seed, s.temperature)
        return [points[i * s.samples : (i + 1) * s.samples] for i in range(labels)]
    if way == "rows":
        drawn = drawn_rows(bundle, label, images.size, s.levels, s.seed, s.temperature)
    else:
        drawn = drawn_pixels(bundle, np.full((len(label), 1), s.levels), label, images.size, settings)
    return drawn.reshape(labels, s.samples, images.size, images.size)


def drawn_pixels(bundle, beginning: np.ndarray, label: np.ndarray, size: int, settings: Any) -> np.ndarray:
    """Drawings [N, S, S] that begin with START and some pixels [N, 1 + n], in one run of the graph."""
    steps = size**2 + 1 - beginning.shape[1]
    options = {"temperature": settings.temperature, "seed": settings.seed, "label": label}
    tokens = bundle.generate(beginning, steps=steps, **options).tokens
    return np.concatenate([beginning[:, 1:], tokens], axis=1).reshape(-1, size, size)


def degenerate_strokes(drawings: dict[str, Any]) -> str | None:
    """A sentence about drawings with a pen that are empty or nearly all the same; None if there is nothing to say."""
    drawn = [points for of_label in drawings.get("strokes", []) for points in of_label]
    texts = ["" if len(points) < 2 else " ".join(map(str, points.round(1).ravel())) for points in drawn]
    return degenerate(texts, "drawings with a pen")


def completions(bundle, images: ImageParts, settings: Any, path: Path, count: int = 10, tries: int = 5) -> None:
    """Draw the lower halves of test images whose upper halves the model was shown."""
    rows = np.unique(images.test[1], return_index=True)[1][:count]  # an image of each label
    shades, numbers = shades_of(images.test[0][rows], settings.levels), images.test[1][rows]
    half = shades[:, : images.size // 2].reshape(len(shades), -1)
    beginning = np.concatenate([np.full((len(half), 1), settings.levels), half], axis=1)
    label = one_hot(numbers, len(images.labels))
    drawn = drawn_pixels(bundle, np.repeat(beginning, tries, 0), np.repeat(label, tries, 0), images.size, settings)
    drawn = drawn.reshape(len(half), tries, images.size, images.size)
    completion_sheet(shades, drawn, [images.labels[number] for number in numbers], settings.levels, path)

"""What a model that draws reads and predicts: images pixel by pixel or row by row, and generated digits by strokes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_rnnkit.data.strokes import SHAPES, strokes
from keras_rnnkit.runs.image_parts import ImageParts
from keras_rnnkit.runs.shades import bits_of_pixels, pixel_arrays, row_arrays, shades_of


@dataclass(frozen=True)
class DrawingData:
    """Inputs by name and targets of each part, and what a model without memory needs for a target of the test."""

    train: tuple[dict[str, np.ndarray], np.ndarray]
    valid: tuple[dict[str, np.ndarray], np.ndarray]
    test: tuple[dict[str, np.ndarray], np.ndarray]
    baseline: float
    """Nats of a pixel or a point."""


def image_data(images: ImageParts, settings: Any, arrays: Callable[..., Any]) -> DrawingData:
    """Images for drawing pixel by pixel or row by row."""
    parts, levels = {"train": images.train, "valid": images.valid, "test": images.test}, settings.levels
    shades = {name: shades_of(x, levels) for name, (x, _) in parts.items()}
    ready = {
        name: arrays(shades[name], one_hot(numbers, len(images.labels)), levels) for name, (_, numbers) in parts.items()
    }
    return DrawingData(**ready, baseline=math.log(2) * bits_of_pixels(shades["train"], shades["test"], levels))


def stroke_data(images: ImageParts, settings: Any) -> DrawingData:
    """Generated digits for drawing with a pen; the images are not used."""
    from keras_rnnkit.runs.stroke_mixture import fed, nats_without_memory, start_of

    counts = {"train": settings.strokes, "valid": max(1, settings.strokes // 10), "test": max(1, settings.strokes // 5)}
    parts = {name: strokes(count, settings.seed * 3 + i) for i, (name, count) in enumerate(counts.items())}
    ready = {}
    for name, (moves, pens, numbers) in parts.items():
        points = np.concatenate([np.repeat(start_of(1)[None], len(moves), 0), fed(moves, pens)[:, :-1]], axis=1)
        targets = np.concatenate([moves, pens[..., None].astype("float32")], axis=-1)
        ready[name] = {"points": points, "label": one_hot(numbers, len(SHAPES))}, targets
    return DrawingData(**ready, baseline=nats_without_memory(parts["train"][:2], parts["test"][:2]))


DATA: dict[str, Callable[[ImageParts, Any], DrawingData]] = {
    "pixels": lambda images, settings: image_data(images, settings, pixel_arrays),
    "rows": lambda images, settings: image_data(images, settings, row_arrays),
    "strokes": stroke_data,
}


def drawing_data(way: str, images: ImageParts, settings: Any) -> DrawingData:
    """The data for a way of drawing: "pixels", "rows" or "strokes"."""
    return DATA[way](images, settings)


def one_hot(numbers: np.ndarray, labels: int) -> np.ndarray:
    return np.eye(labels, dtype=np.float32)[numbers]

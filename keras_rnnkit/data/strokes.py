"""Generated handwriting: digits as the movements of a pen, written by hands that differ."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

DOWN, UP, END = range(3)
"""The states of the pen after a point: it draws on, it is lifted for the next stroke, or the digit is complete."""

Curve = tuple[tuple[float, float], ...]
SHAPES: dict[str, tuple[Curve, ...]] = {
    "0": (((0.6, 0.0), (0.2, 0.1), (0.1, 0.5), (0.25, 0.95), (0.6, 0.95), (0.8, 0.5), (0.75, 0.1), (0.6, 0.0)),),
    "1": (((0.25, 0.25), (0.55, 0.0), (0.55, 0.5), (0.52, 1.0)),),
    "2": (((0.15, 0.25), (0.4, 0.0), (0.75, 0.15), (0.6, 0.5), (0.15, 1.0), (0.45, 0.95), (0.85, 1.0)),),
    "3": (((0.15, 0.1), (0.6, 0.0), (0.7, 0.25), (0.4, 0.45), (0.8, 0.65), (0.6, 0.98), (0.15, 0.9)),),
    "4": (((0.6, 0.0), (0.35, 0.35), (0.1, 0.65), (0.5, 0.65), (0.9, 0.62)), ((0.65, 0.4), (0.62, 0.7), (0.6, 1.0))),
    "5": (((0.3, 0.02), (0.25, 0.4), (0.65, 0.4), (0.75, 0.75), (0.45, 1.0), (0.1, 0.9)), ((0.3, 0.02), (0.8, 0.0))),
    "6": (((0.7, 0.0), (0.3, 0.3), (0.15, 0.75), (0.45, 1.0), (0.75, 0.75), (0.5, 0.5), (0.2, 0.7)),),
    "7": (((0.1, 0.05), (0.5, 0.03), (0.85, 0.0), (0.55, 0.5), (0.35, 1.0)), ((0.3, 0.5), (0.75, 0.48))),
    "8": (((0.7, 0.15), (0.4, 0.0), (0.2, 0.2), (0.5, 0.45), (0.75, 0.8), (0.4, 1.0), (0.15, 0.75), (0.7, 0.15)),),
    "9": (((0.75, 0.15), (0.4, 0.0), (0.2, 0.25), (0.5, 0.45), (0.75, 0.15), (0.7, 0.6), (0.6, 1.0)),),
}
"""Points that the pen passes in each stroke; x and y from 0 to 1, y grows downwards."""

SPACING = 0.16
"""About how far apart the points of a stroke are."""


class Strokes(NamedTuple):
    """Pen movements as training data.

    Arguments:
        moves: how far the pen moves to each point, x and y [N, T, 2], float32, at first from the corner; zeros after
            the end.
        pens: DOWN, UP or END after each point [N, T], int32; -1 after the end.
        numbers: which digit it is [N], int32.
    """

    moves: np.ndarray
    pens: np.ndarray
    numbers: np.ndarray


def strokes(count: int, seed: int = 0) -> Strokes:
    """Digits written with a pen. Each has a slant, a size, a width and small deviations of its own.

    Arguments:
        count: the number of digits.
        seed: seed of the random choices.

    >>> digits = strokes(20, seed=1)
    >>> digits.moves.shape[0], digits.moves.shape[2], sorted(set(digits.pens.ravel().tolist()))
    (20, 2, [-1, 0, 1, 2])
    """
    random = np.random.default_rng(seed)
    numbers = random.integers(0, len(SHAPES), count).astype(np.int32)
    written = [write(random, SHAPES[str(number)]) for number in numbers]
    longest = max(len(pens) for _, pens in written)
    moves, pens = np.zeros((count, longest, 2), np.float32), np.full((count, longest), -1, np.int32)
    for row, (points, pen) in enumerate(written):
        moves[row, : len(pen)] = np.diff(points, axis=0, prepend=np.zeros((1, 2)))
        pens[row, : len(pen)] = pen
    return Strokes(moves, pens, numbers)


def write(random: np.random.Generator, curves: tuple[Curve, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The points of a digit [T, 2], and what the pen does after each."""
    slant, width, height = random.normal(0, 0.15), random.uniform(0.6, 1.0), random.uniform(0.85, 1.15)
    points, pens = [], []
    for curve in curves:
        passed = np.array(curve) + random.normal(0, 0.025, (len(curve), 2))
        stroke = smooth(passed, random.uniform(0.9, 1.1) * SPACING)
        stroke = stroke * (width, height) + np.outer(0.5 - stroke[:, 1], [slant, 0])
        points.append(stroke + random.normal(0, 0.006, stroke.shape))
        pens += [DOWN] * (len(stroke) - 1) + [UP]
    pens[-1] = END
    return np.concatenate(points), np.array(pens, np.int32)


def smooth(points: np.ndarray, spacing: float) -> np.ndarray:
    """Points at about equal distances on a smooth curve (Catmull-Rom) through the given ones."""
    padded = np.concatenate([points[:1], points, points[-1:]])
    t = np.linspace(0, 1, 12, endpoint=False)[:, None]
    pieces = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False)
    ]
    dense = np.concatenate([*pieces, points[-1:]])
    length = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(dense, axis=0).T))])
    places = np.linspace(0, length[-1], max(2, round(length[-1] / spacing) + 1))
    return np.stack([np.interp(places, length, dense[:, axis]) for axis in (0, 1)], axis=1)

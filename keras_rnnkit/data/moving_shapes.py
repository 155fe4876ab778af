"""Rendered clips of moving shapes, with a label for every frame that only the frames before it can tell."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from keras_rnnkit.data.scenes import COLOURS, SHAPES, outline

MOTIONS = ("still", "left", "right", "bouncing")
"""The labels of a frame, in the order of their numbers."""

STILL, LEFT, RIGHT, BOUNCING = range(len(MOTIONS))
TEMPO_CHANGE = 0.07
"""The probability, at each frame, that a moving shape stops or that a resting shape starts to move."""


class MovingShapes(NamedTuple):
    """Clips as training data.

    Arguments:
        frames: [N, T, size, size, 3], uint8.
        labels: numbers of `MOTIONS` [N, T], int32.
    """

    frames: np.ndarray
    labels: np.ndarray


def moving_shapes(count: int, seed: int = 0, frames: int = 24, size: int = 24) -> MovingShapes:
    """Clips of a shape that stands, moves sideways, and turns around at the walls.

    The label of a frame is what the shape has done up to this frame: "still" if it has not moved since the frame
    before, "left" or "right" while it moves, and "bouncing" from the moment when a wall has turned it around until it
    stands again. The first frame of a clip is "still". A single frame does not show its label, and two frames do not
    show whether a shape that moves has bounced.

    Arguments:
        count: the number of clips.
        seed: seed of the random choices.
        frames: frames of a clip.
        size: height and width of a frame in pixels.

    >>> clips = moving_shapes(2, seed=5, frames=9)
    >>> clips.frames.shape, [MOTIONS[label] for label in clips.labels[1]]
    ((2, 9, 24, 24, 3), ['still', 'left', 'left', 'left', 'left', 'left', 'left', 'bouncing', 'bouncing'])
    """
    random = np.random.default_rng(seed)
    clips, labels = np.zeros((count, frames, size, size, 3), np.uint8), np.zeros((count, frames), np.int32)
    for clip, row in zip(clips, labels, strict=True):
        radius = random.uniform(0.13, 0.2) * size
        low, high = int(np.ceil(radius)), int(size - 1 - np.ceil(radius))
        places, row[:] = walk(random, frames, low, high, fastest=max(1, size // 12))
        clip[:] = rendered(random, places, radius, size)
    return MovingShapes(clips, labels)


def walk(random: np.random.Generator, frames: int, low: int, high: int, fastest: int) -> tuple[list[int], list[int]]:
    """The places of a shape between two walls, and the label of each frame.

    A shape stops at a wall for no time: it touches it in one frame and is on its way back in the next.
    """
    place, speed, bounced = int(random.integers(low, high + 1)), 0, False
    places, labels = [place], [STILL]
    while len(places) < frames:
        if random.random() < (TEMPO_CHANGE if speed else 4 * TEMPO_CHANGE):
            speed, bounced = (0 if speed else start(random, place, low, high, fastest)), False
        if speed and place == (high if speed > 0 else low):
            speed, bounced = -speed, True
        place = min(max(place + speed, low), high)
        places.append(place)
        labels.append(BOUNCING if bounced else STILL if not speed else RIGHT if speed > 0 else LEFT)
    return places, labels


def start(random: np.random.Generator, place: int, low: int, high: int, fastest: int) -> int:
    """The speed of a shape that begins to move, in pixels; at a wall it moves away from it."""
    direction = 1 if place == low else -1 if place == high else int(random.choice([-1, 1]))
    return direction * int(random.integers(1, fastest + 1))


def rendered(random: np.random.Generator, places: list[int], radius: float, size: int) -> np.ndarray:
    """The frames of a coloured shape at these places, on a pale ground with noise."""
    shape, colour = SHAPES[random.integers(len(SHAPES))], list(COLOURS.values())[random.integers(len(COLOURS))]
    height = random.uniform(np.ceil(radius), size - 1 - np.ceil(radius))
    cover = coverage(shape, radius, height, size)
    ground = random.integers(205, 256, 3) + random.normal(0, 6, (size, size, 3))
    views = np.stack([cover[:, size - place : 2 * size - place] for place in places])[..., None]
    frames = ground * (1 - views) + np.array(colour) * views + random.normal(0, 4, (len(places), size, size, 3))
    return np.clip(frames, 0, 255).astype(np.uint8)


def coverage(shape: str, radius: float, height: float, size: int) -> np.ndarray:
    """The share of each pixel that a shape covers, from 0 to 1, on a canvas [size, 2 size] that frames are cut from."""
    from PIL import Image, ImageDraw

    scale = 4  # drawn larger, so that edges are smooth
    image: Any = Image.new("L", (2 * size * scale, size * scale))
    outline(ImageDraw.Draw(image), shape, size * scale, height * scale, radius * scale, 255)  # type: ignore[arg-type]
    return np.asarray(image.resize((2 * size, size), Image.Resampling.BOX)) / 255

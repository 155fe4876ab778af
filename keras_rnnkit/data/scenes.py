"""Drawn scenes of coloured shapes with sentences that describe them: images to caption without a download."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

COLOURS = {
    "red": (214, 40, 40),
    "green": (46, 160, 67),
    "blue": (38, 99, 214),
    "yellow": (245, 200, 30),
    "purple": (140, 60, 190),
    "orange": (240, 130, 30),
    "pink": (240, 130, 180),
    "brown": (120, 75, 40),
}
SHAPES = ("circle", "square", "triangle", "diamond", "cross")
SIZES = {"small": 0.2, "large": 0.3}
PLACES = (
    "at the top left",
    "at the top",
    "at the top right",
    "on the left",
    "in the middle",
    "on the right",
    "at the bottom left",
    "at the bottom",
    "at the bottom right",
)
"""The ninths of an image, row by row."""
UNSEEN = (("green", "circle"), ("yellow", "square"), ("purple", "triangle"))
"""Three of the forty combinations of colour and shape. A model that was not trained on them shows with them whether it
combines what it has learned."""


class Thing(NamedTuple):
    """A shape in a scene; place is an index of `PLACES`. As text it is its description."""

    size: str
    colour: str
    shape: str
    place: int

    def __str__(self) -> str:
        article = "an" if f"{self.size} {self.colour}"[0] in "aeiou" else "a"
        return f"{article} {self.size} {self.colour} {self.shape} {PLACES[self.place]}"

    @property
    def unseen(self) -> bool:
        """Whether its colour and shape are one of the combinations `UNSEEN`."""
        return (self.colour, self.shape) in UNSEEN


class Scenes(NamedTuple):
    """Scenes as training data.

    Arguments:
        images: [N, size, size, 3], uint8.
        captions: a sentence for each image.
        unseen: whether a scene has a combination of `UNSEEN` [N].
    """

    images: np.ndarray
    captions: list[str]
    unseen: np.ndarray


def scenes(count: int, seed: int = 0, size: int = 48, max_things: int = 2, unseen: float | None = 0.0) -> Scenes:
    """Random scenes of one to `max_things` things at different places, described row by row.

    Arguments:
        count: the number of scenes.
        seed: seed of the random choices.
        size: height and width of an image in pixels.
        max_things: the largest number of things in a scene.
        unseen: the fraction of scenes with a combination of `UNSEEN`; the others have none. None makes all combinations
            equally likely.

    >>> examples = scenes(2, seed=3)
    >>> examples.images.shape, examples.captions[0]
    ((2, 48, 48, 3), 'a large orange diamond on the right and a large blue square at the bottom left')
    """
    random = np.random.default_rng(seed)
    images: list[np.ndarray] = []
    captions: list[str] = []
    flags: list[bool] = []
    while len(images) < count:
        things = random_things(random, max_things)
        wanted = unseen is not None and random.random() < unseen
        if wanted:
            colour, shape = UNSEEN[random.integers(len(UNSEEN))]
            things[0] = things[0]._replace(colour=colour, shape=shape)
        has = any(thing.unseen for thing in things)
        if has and not wanted and unseen is not None:
            continue
        things.sort(key=lambda thing: thing.place)
        images.append(drawn(things, random, size))
        captions.append(" and ".join(map(str, things)))
        flags.append(has)
    return Scenes(np.stack(images), captions, np.array(flags))


def random_things(random: np.random.Generator, max_things: int) -> list[Thing]:
    number = int(random.integers(1, max_things + 1))
    places = random.permutation(len(PLACES))[:number]

    def choose(kinds: Iterable[str]) -> str:
        choices = tuple(kinds)
        return choices[random.integers(len(choices))]

    return [Thing(choose(SIZES), choose(COLOURS), choose(SHAPES), int(place)) for place in places]


def drawn(things: list[Thing], random: np.random.Generator, size: int) -> np.ndarray:
    """An image of things on a pale ground. Places, sizes and colours vary a little, so that no two images are alike."""
    image_package, draw_package = _package()
    scale = 2  # drawn larger, so that edges are smooth
    ground = tuple(int(x) for x in random.integers(215, 256, size=3))
    image = image_package.new("RGB", (size * scale, size * scale), ground)
    pen = draw_package.Draw(image)
    for thing in things:
        row, column = divmod(thing.place, 3)
        x, y = ((third + 0.5 + random.uniform(-0.06, 0.06)) / 3 * size * scale for third in (column, row))
        radius = SIZES[thing.size] * random.uniform(0.9, 1.1) * size * scale / 2
        colour = tuple(int(c) for c in np.clip(np.array(COLOURS[thing.colour]) + random.integers(-12, 13, 3), 0, 255))
        outline(pen, thing.shape, x, y, radius, colour)
    small = image.resize((size, size), image_package.Resampling.LANCZOS)
    noise = random.normal(0, 4, size=(size, size, 3))
    return np.clip(np.asarray(small) + noise, 0, 255).astype(np.uint8)


def outline(pen: Any, shape: str, x: float, y: float, radius: float, colour: tuple[int, ...]) -> None:
    def box(width: float, height: float) -> tuple[float, ...]:
        return x - width, y - height, x + width, y + height

    if shape == "circle":
        pen.ellipse(box(radius, radius), fill=colour)
    elif shape == "square":
        pen.rectangle(box(0.88 * radius, 0.88 * radius), fill=colour)
    elif shape == "triangle":
        pen.polygon([(x, y - radius), (x - radius, y + radius * 0.8), (x + radius, y + radius * 0.8)], fill=colour)
    elif shape == "diamond":
        pen.polygon([(x - 0.75 * radius, y), (x, y - radius), (x + 0.75 * radius, y), (x, y + radius)], fill=colour)
    else:
        pen.rectangle(box(radius, 0.36 * radius), fill=colour)
        pen.rectangle(box(0.36 * radius, radius), fill=colour)


def _package() -> tuple[Any, Any]:
    try:
        from PIL import Image, ImageDraw
    except ModuleNotFoundError as error:
        raise ImportError("Images need the pillow package: pip install 'keras-rnnkit[images]'") from error
    return Image, ImageDraw

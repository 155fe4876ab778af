"""Drawn scenes: the geometry of the shapes, how much a scene varies, and which scenes are drawn how often."""

import numpy as np
import pytest

import keras_rnnkit as rk
from keras_rnnkit.data.scenes import COLOURS, SHAPES, SIZES, Thing, drawn, outline

NEEDS_PILLOW = "Needs pillow: pip install 'keras-rnnkit[images]'"
Image = pytest.importorskip("PIL.Image", reason=NEEDS_PILLOW)
ImageDraw = pytest.importorskip("PIL.ImageDraw", reason=NEEDS_PILLOW)

RADIUS = 50.0
# From the middle: how far to the left, up, right and down a shape reaches, and its area, for a radius of one.
GEOMETRY = {
    "circle": ((1.0, 1.0, 1.0, 1.0), np.pi),
    "square": ((0.88, 0.88, 0.88, 0.88), 1.76**2),
    "triangle": ((1.0, 1.0, 1.0, 0.8), 1.8),
    "diamond": ((0.75, 1.0, 0.75, 1.0), 1.5),
    "cross": ((1.0, 1.0, 1.0, 1.0), 2 * 2 * 0.72 - 0.72**2),
}
# The height of the centre of area under the middle: a triangle stands on its base.
CENTRES = {"triangle": 0.2}


def test_every_shape_has_its_geometry():
    assert set(GEOMETRY) == set(SHAPES)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_has_its_size_and_area(shape):
    x, y = 100, 90
    image = Image.new("L", (200, 200), 0)
    outline(ImageDraw.Draw(image), shape, x, y, RADIUS, 255)
    rows, columns = np.nonzero(np.asarray(image))
    left, up, right, down = GEOMETRY[shape][0]
    reach = np.array([x - columns.min(), y - rows.min(), columns.max() - x, rows.max() - y])
    np.testing.assert_allclose(reach, np.array([left, up, right, down]) * RADIUS, atol=1.5)
    assert len(rows) == pytest.approx(GEOMETRY[shape][1] * RADIUS**2, rel=0.04)
    assert columns.mean() == pytest.approx(x, abs=1)
    assert rows.mean() == pytest.approx(y + CENTRES.get(shape, 0.0) * RADIUS, abs=1)


def test_places_sizes_and_colours_vary_a_little():
    """A disc of a scene is measured: its colour, its middle and its radius, and the colour and noise of the ground."""
    random, size, measured = np.random.default_rng(0), 96, []
    for _ in range(150):
        image = drawn([Thing("large", "blue", "circle", 5)], random, size).astype(float)
        ground = np.median(image[: size // 4].reshape(-1, 3), axis=0)
        is_disc = np.abs(image - ground).max(axis=-1) > 90
        rows, columns = np.nonzero(is_disc)
        colour = np.median(image[is_disc], axis=0)
        measured.append([*colour, *ground, rows.mean(), columns.mean(), np.sqrt(is_disc.sum() / np.pi)])
    low, high = np.min(measured, axis=0), np.max(measured, axis=0)
    blue = np.array(COLOURS["blue"])
    np.testing.assert_allclose(low[:3], blue - 12, atol=3)
    np.testing.assert_allclose(high[:3], blue + 12, atol=3)
    np.testing.assert_allclose([low[3:6], high[3:6]], [[215] * 3, [255] * 3], atol=4)
    middle, spread = (np.array([1.5, 2.5]) / 3 * size, 0.06 / 3 * size)
    np.testing.assert_allclose([low[6:8], high[6:8]], [middle - spread - 0.5, middle + spread - 0.5], atol=0.5)
    radius = SIZES["large"] * size / 2
    np.testing.assert_allclose([low[8], high[8]], [0.9 * radius, 1.1 * radius], rtol=0.03)
    empty = drawn([], np.random.default_rng(1), size).astype(float)[..., 0]
    assert np.std(empty - np.median(empty)) == pytest.approx(4.0, rel=0.1)


def test_things_have_different_places_and_are_described_row_by_row():
    from keras_rnnkit.data.scenes import PLACES

    captions = rk.data.scenes(100, seed=4, size=12, max_things=3, unseen=0.5).captions
    places = [[PLACES.index(" ".join(part.split()[4:])) for part in caption.split(" and ")] for caption in captions]
    assert all(row == sorted(set(row)) for row in places)
    assert {len(row) for row in places} == {1, 2, 3}
    assert {place for row in places for place in row} == set(range(9))


def test_the_fraction_of_scenes_with_an_unseen_combination():
    for unseen, expected in ((0.0, 0.0), (0.3, 0.3), (1.0, 1.0)):
        assert rk.data.scenes(150, seed=5, size=12, unseen=unseen).unseen.mean() == pytest.approx(expected, abs=0.08)
    default = rk.data.scenes(150, seed=5, size=12)
    assert not default.unseen.any()
    assert {caption.count(" and ") for caption in default.captions} == {0, 1}


def test_unseen_combinations_are_equally_frequent():
    captions = rk.data.scenes(120, seed=6, size=12, max_things=1, unseen=1.0).captions
    counts = [sum(name in caption for caption in captions) for name in ("green circle", "yellow square", "purple tri")]
    assert sum(counts) == 120 and min(counts) > 25

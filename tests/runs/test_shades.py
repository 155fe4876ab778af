"""Images as shades that are predicted one after the other."""

import numpy as np
import pytest

from keras_rnnkit.runs.named_rows import NamedRows
from keras_rnnkit.runs.rows import Rows
from keras_rnnkit.runs.shades import bits_of_pixels, nearest_labels, pixel_arrays, row_arrays, shades_of


def test_with_two_shades_the_baseline_is_the_mean_of_each_pixel(rng):
    train, test = (rng.random((n, 3, 3)) < np.linspace(0.1, 0.9, 9).reshape(3, 3) for n in (400, 100))
    mean = (train.sum(0) + 0.5) / (len(train) + 1)
    expected = -np.where(test, np.log2(mean), np.log2(1 - mean)).mean()
    assert bits_of_pixels(train.astype(int), test.astype(int), 2) == pytest.approx(expected)


def test_a_target_is_never_among_the_inputs_before_it(rng):
    shades = rng.integers(0, 4, (2, 3, 3))
    x, y = pixel_arrays(shades, np.eye(2), 4)
    assert (x["pixels"][:, 0] == 4).all() and np.array_equal(x["pixels"][:, 1:], y[:, :-1])
    x, y = row_arrays(shades, np.eye(2), 4)
    assert (x["rows"][:, 0] == -1).all() and np.allclose(3 * x["rows"][:, 1:], y[:, :-1])


def test_shades_cover_all_of_an_image():
    assert np.bincount(shades_of(np.arange(256, dtype=np.uint8), 17), minlength=17).min() >= 15


def test_the_nearest_image_gives_its_label(rng):
    shades, numbers = rng.integers(0, 4, (20, 3, 3)), np.arange(20)
    assert nearest_labels(shades, numbers, shades[[7, 3]]).tolist() == [7, 3]


def test_rows_by_name_are_the_rows(rng):
    x, y = rng.normal(size=(10, 2)), np.arange(10)
    rows, named = Rows(x, y, 3, seed=2), NamedRows({"x": x, "y": -y}, y, 3, seed=2)
    rows.epoch = named.epoch = 4
    for number in range(len(rows)):
        (inputs, targets), (expected, numbers) = named.batch(number), rows.batch(number)
        assert np.array_equal(inputs["x"], expected) and np.array_equal(-inputs["y"], targets)
        assert np.array_equal(targets, numbers)
    batches = [y.numpy().tolist() for _, y in named.dataset(2)]
    assert batches == [rows.batch(number)[1].tolist() for number in (2, 3)]

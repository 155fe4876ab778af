"""Patches and the orders in which they are read."""

import numpy as np
import pytest

from keras_rnnkit.data.patches import patch_table, patches_at, random_order, row_order, scan_order


@pytest.mark.parametrize("order", [row_order(4), scan_order(4), random_order(4, 1)])
def test_an_order_has_every_place_once(order):
    assert sorted(order.tolist()) == list(range(16))


def test_a_scan_begins_in_the_middle_and_ends_in_the_corners():
    order = scan_order(4)
    assert set(order[:4].tolist()) == {5, 6, 9, 10} and set(order[-4:].tolist()) == {0, 3, 12, 15}


def test_patches_are_cut_where_their_places_say(rng):
    images = rng.integers(0, 255, (3, 8, 8)).astype("float32")
    places = np.array([[0, 5], [15, 2], [7, 7]])
    found = np.asarray(patches_at(images, places, 2))
    for row, image in enumerate(images):
        for step, place in enumerate(places[row]):
            y, x = 2 * (place // 4), 2 * (place % 4)
            assert np.array_equal(found[row, step].reshape(2, 2), image[y : y + 2, x : x + 2])
    assert np.asarray(patch_table(images, 1)).reshape(3, 8, 8).tolist() == images.tolist()

"""Generated pen movements: each digit ends once, and the points lie where its curves are."""

import numpy as np

from keras_rnnkit.data.strokes import DOWN, END, SHAPES, UP, strokes


def test_every_digit_ends_once_and_padding_follows():
    digits = strokes(200, seed=2)
    assert ((digits.pens == END).sum(1) == 1).all()
    ends = (digits.pens == END).argmax(1)
    for moves, pens, end in zip(digits.moves, digits.pens, ends, strict=True):
        assert (pens[: end + 1] >= 0).all() and (pens[end + 1 :] == -1).all() and not moves[end + 1 :].any()


def test_lifts_of_the_pen_are_those_of_the_shape():
    digits = strokes(200, seed=3)
    for pens, number in zip(digits.pens, digits.numbers, strict=True):
        assert (pens == UP).sum() == len(SHAPES[str(number)]) - 1


def test_the_same_seed_writes_the_same_and_hands_differ():
    first, again = strokes(30, seed=4), strokes(30, seed=4)
    assert np.array_equal(first.moves, again.moves) and np.array_equal(first.pens, again.pens)
    ones = first.moves[first.numbers == first.numbers[0]]
    assert not np.allclose(ones[0], ones[1])


def test_points_stay_near_the_unit_square_and_near_each_other():
    digits = strokes(200, seed=5)
    places = np.cumsum(digits.moves, axis=1)
    assert places.min() > -0.4 and places.max() < 1.4
    inside = (digits.pens[:, :-1] == DOWN) & (digits.pens[:, 1:] >= 0)
    assert np.hypot(*digits.moves[:, 1:][inside].T).max() < 0.35

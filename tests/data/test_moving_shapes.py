"""The labels of moving shapes are what the frames before show, and nothing less is enough to tell them."""

import numpy as np

from keras_rnnkit.data.moving_shapes import BOUNCING, LEFT, MOTIONS, RIGHT, STILL, moving_shapes, walk


def told_by_places(places):
    """The labels by their definition, from the places of the shape alone."""
    labels, bounced = [STILL], False
    for number in range(1, len(places)):
        step = places[number] - places[number - 1]
        before = places[number - 1] - places[number - 2] if number > 1 else 0
        bounced = step != 0 and (bounced or step * before < 0)
        labels.append(STILL if step == 0 else BOUNCING if bounced else RIGHT if step > 0 else LEFT)
    return labels


def test_labels_follow_from_the_places_so_far():
    random = np.random.default_rng(0)
    for _ in range(200):
        places, labels = walk(random, 40, 4, 19, fastest=2)
        assert min(places) >= 4 and max(places) <= 19 and labels == told_by_places(places)


def test_two_frames_do_not_tell_whether_a_shape_has_bounced():
    labels, steps = [], []
    random = np.random.default_rng(1)
    for _ in range(200):
        places, row = walk(random, 24, 4, 19, fastest=2)
        steps += np.sign(np.diff(places)).tolist()
        labels += row[1:]
    to_the_right = np.array(labels)[np.array(steps) > 0]
    assert 0.3 < np.mean(to_the_right == BOUNCING) < 0.8


def test_clips_are_reproducible_and_every_label_is_common():
    clips, again = moving_shapes(60, seed=3), moving_shapes(60, seed=3)
    assert np.array_equal(clips.frames, again.frames) and np.array_equal(clips.labels, again.labels)
    assert not np.array_equal(clips.frames, moving_shapes(60, seed=4).frames)
    assert clips.frames.dtype == np.uint8 and (clips.labels[:, 0] == STILL).all()
    assert np.bincount(clips.labels.ravel(), minlength=len(MOTIONS)).min() > 0.1 * clips.labels.size


def test_what_moves_in_the_labels_moves_in_the_frames():
    clips = moving_shapes(40, seed=7)
    changes = np.abs(np.diff(clips.frames.astype(int), axis=1)).max(axis=(2, 3, 4))
    moves = clips.labels[:, 1:] != STILL
    assert changes[moves].min() > changes[~moves].max()

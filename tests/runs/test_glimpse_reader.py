"""A model that chooses where to look learns to look where the label is, and never looks twice at one place."""

import keras
import numpy as np
import pytest

from keras_rnnkit.data.patches import scan_order
from keras_rnnkit.runs.glimpse_reader import GlimpseReader

SMALL = {"size": 4, "patch": 2, "cell": "gru", "units": 12, "embedding": 12}


def images_with_label_at(place, count, rng):
    """Noise, and one patch of four that is dark or bright as the label says."""
    numbers = rng.integers(0, 2, count)
    images = rng.integers(100, 156, (count, 4, 4))
    y, x = 2 * (place // 2), 2 * (place % 2)
    images[:, y : y + 2, x : x + 2] = 255 * numbers[:, None, None]
    return images.astype(np.uint8), numbers.astype(np.int32)


def test_the_policy_finds_the_patch_that_tells_the_label(rng):
    keras.utils.set_random_seed(1)
    place = int(next(place for place in range(4) if place != scan_order(2)[0]))
    model = GlimpseReader(2, **SMALL, glimpses=2, explore=0.01)
    model.shift = keras.layers.Identity()
    model.build((None, 4, 4))
    model.compile(keras.optimizers.Adam(0.02))
    model.optimizer.build(model.trainable_variables)  # otherwise the first step is traced twice
    images, numbers = images_with_label_at(place, 1024, rng)
    model.fit(images, numbers, batch_size=32, epochs=3, verbose=0)
    outputs = model.predict(images[:64], verbose=0)
    assert (outputs["places"][:, 1] == place).mean() > 0.9
    assert (outputs["label"][:, 1].argmax(-1) == numbers[:64]).mean() > 0.9


def test_no_place_is_looked_at_twice(rng):
    model = GlimpseReader(2, **SMALL, glimpses=4)
    model.build((None, 4, 4))
    images, _ = images_with_label_at(0, 16, rng)
    for training in (False, True):
        places = np.asarray(model(images, training=training)["places"])
        assert (np.sort(places, axis=1) == np.arange(4)).all()


def test_the_loss_is_that_of_all_glimpses_or_of_the_last(rng):
    images, numbers = images_with_label_at(1, 8, rng)
    for judged in ("all", "last"):
        model = GlimpseReader(2, **SMALL, order=np.arange(4), judged=judged)
        model.build((None, 4, 4))
        outputs = model(images)
        nats = -np.log(np.asarray(outputs["label"])[np.arange(8), :, numbers])
        expected = nats[:, -1].mean() if judged == "last" else nats.mean()
        loss = model.compute_loss(images, numbers, outputs, training=False)
        assert float(loss) == pytest.approx(float(expected), rel=1e-5)

"""A layer on every frame gives what Keras' TimeDistributed gives, in clips of any length, in `predict` too."""

import keras
import numpy as np

from keras_rnnkit.runs.each_frame import EachFrame


def test_it_is_time_distributed(rng):
    network = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Conv2D(2, 3), keras.layers.Flatten()])
    frames = keras.Input((None, 6, 6, 1))
    model = keras.Model(frames, EachFrame(network)(frames))
    for rows, steps in ((3, 4), (2, 7), (2, 7), (5, 1)):
        x = rng.normal(size=(rows, steps, 6, 6, 1)).astype("float32")
        expected = np.asarray(keras.layers.TimeDistributed(network)(x))
        np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=1e-6)


def test_it_is_saved(tmp_path, rng):
    frames = keras.Input((None, 4, 4, 1))
    model = keras.Model(frames, EachFrame(keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(3)]))(frames))
    model.save(tmp_path / "model.keras")
    x = rng.normal(size=(2, 5, 4, 4, 1)).astype("float32")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.predict(x, verbose=0), model.predict(x, verbose=0))

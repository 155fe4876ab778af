"""One small bundle for each view that only a local page has, with random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.serving.page.bundles import set_weights

LOCAL_KINDS = {"camera": "frames", "looker": "glimpses", "painter": "drawing", "reviewer": "reading"}
"""The bundles by name, and the kind of view that each has."""


def export_local(folder: Path) -> None:
    """Write all of them into a folder."""
    import keras

    random = np.random.default_rng(8)
    for export in (export_camera, export_looker, export_painter, export_reviewer):
        export(folder, random)
        keras.backend.clear_session()


def export_camera(folder: Path, random) -> None:
    """A label for each frame of 6 x 6 pixels."""
    import keras

    import keras_rnnkit as rk

    frames = keras.Input((None, 6, 6, 3), name="frames")
    h = rk.GRU(4, return_sequences=True)(keras.layers.Reshape((-1, 108))(frames))
    model = keras.Model(frames, keras.layers.Dense(3, activation="softmax", name="label")(h))
    set_weights(model, random)
    labels = ["left", "right", "still"]
    rk.export_bundle(model, folder / "camera", modes=["stream"], labels=labels, saved_model=False, verify=False)


def export_looker(folder: Path, random) -> None:
    """Reads patches of 2 x 2 pixels of an image of 4 x 4, and says which of the four places to look at next."""
    import keras

    import keras_rnnkit as rk

    patches, places = keras.Input((None, 4), name="patches"), keras.Input((None,), dtype="int32", name="places")
    x = keras.layers.Concatenate()([keras.layers.Rescaling(1 / 255)(patches), keras.layers.Embedding(4, 3)(places)])
    h = rk.GRU(4, return_sequences=True)(x)
    label = keras.layers.Dense(3, activation="softmax", name="label")(h)
    model = keras.Model([patches, places], {"label": label, "next": keras.layers.Dense(4, name="next")(h)})
    set_weights(model, random)
    rk.export_bundle(model, folder / "looker", modes=["stream"], saved_model=False, verify=False)


def export_painter(folder: Path, random) -> None:
    """Draws images of 4 x 4 pixels in three shades, of two labels."""
    import keras

    import keras_rnnkit as rk

    pixels, label = keras.Input((None,), dtype="int32", name="pixels"), keras.Input((2,), name="label")
    x = keras.layers.Conv1D(4, 6, padding="causal")(keras.layers.Embedding(4, 3)(pixels))
    x = keras.layers.Add()([x, keras.layers.Reshape((1, -1))(keras.layers.Dense(4)(label))])
    h = rk.GRU(4, return_sequences=True)(x)
    model = keras.Model([pixels, label], keras.layers.Dense(3, name="next")(h))
    set_weights(model, random)
    rk.export_bundle(model, folder / "painter", modes=["stream", "generate"], saved_model=False, verify=False)


def export_reviewer(folder: Path, random) -> None:
    """Reads words to their end, and gives one probability."""
    import keras

    import keras_rnnkit as rk

    vocabulary = rk.text.Vocabulary.of("a good film and a bad film", rk.text.Words(), ["<pad>", "<unk>"])
    words = keras.Input((None,), dtype="int32", name="words")
    h = rk.Bidirectional(rk.GRU(4))(keras.layers.Embedding(len(vocabulary), 3, mask_zero=True)(words))
    model = keras.Model(words, keras.layers.Dense(1, activation="sigmoid", name="probability")(h))
    set_weights(model, random)
    rk.export_bundle(
        model, folder / "reviewer", vocabulary=vocabulary, labels=["bad", "good"], saved_model=False, verify=False
    )

"""One small bundle for each kind of view, with random weights. Tests of the export check such models."""

from __future__ import annotations

from pathlib import Path

import numpy as np

RESERVED = ["<pad>", "<unk>", "<bos>", "<eos>"]
KINDS = {
    "captioner": "captions",
    "faults": "tensors",
    "tides": "series",
    "translator": "translation",
    "waves": "series",
    "writer": "text",
}
"""The bundles by name, and the kind of view that each has."""


def export_all(folder: Path) -> None:
    """Write all bundles into a folder."""
    import keras

    random = np.random.default_rng(5)
    for export in (export_writer, export_waves, export_tides, export_faults, export_translator, export_captioner):
        export(folder, random)
        keras.backend.clear_session()


def set_weights(model, random) -> None:
    for weight in model.trainable_weights:
        weight.assign(random.normal(size=tuple(weight.shape)) * 0.6)


def export_writer(folder: Path, random) -> None:
    import keras

    import keras_rnnkit as rk

    vocabulary = rk.text.Vocabulary.of("to be or not to be, that is the question")
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    y = rk.LSTM(8, return_sequences=True, name="memory")(keras.layers.Embedding(len(vocabulary), 4)(tokens))
    model = keras.Model(tokens, keras.layers.Dense(len(vocabulary), name="logits")(y))
    set_weights(model, random)
    rk.export_bundle(
        model, folder / "writer", modes=["sequence", "stream"], vocabulary=vocabulary, saved_model=False, verify=False
    )


def export_waves(folder: Path, random) -> None:
    """Two channels, so that a table of numbers has columns."""
    import keras

    import keras_rnnkit as rk

    x = keras.Input((None, 2), name="x")
    model = keras.Model(x, keras.layers.Dense(2, name="y")(rk.GRU(6, return_sequences=True)(x)))
    set_weights(model, random)
    rk.export_bundle(model, folder / "waves", saved_model=False, verify=False)


def export_tides(folder: Path, random) -> None:
    """One channel, with the bounds of an interval."""
    import keras

    import keras_rnnkit as rk

    x = keras.Input((None, 1), name="x")
    h = rk.GRU(6, return_sequences=True)(x)
    y = keras.layers.Dense(1, name="forecast")(keras.layers.Concatenate()([x, h]))
    width = keras.layers.Dense(1, activation="softplus")(h)
    bounds = {"lower_90": keras.layers.Subtract()([y, width]), "upper_90": keras.layers.Add()([y, width])}
    model = keras.Model(x, {"forecast": y, **bounds})
    for weight in model.trainable_weights:
        weight.assign(random.normal(size=tuple(weight.shape)) * 0.3)
    rk.export_bundle(model, folder / "tides", saved_model=False, verify=False)


def export_faults(folder: Path, random) -> None:
    """Two inputs of different form, and an output of probabilities."""
    import keras

    import keras_rnnkit as rk

    x, station = keras.Input((None, 3), name="sensors"), keras.Input((4,), name="station")
    y = keras.layers.Concatenate()([rk.GRU(4)(keras.layers.Masking()(x)), station])
    model = keras.Model([x, station], keras.layers.Dense(3, activation="softmax", name="fault")(y))
    set_weights(model, random)
    labels = ["cold", "fine", "hot"]
    rk.export_bundle(model, folder / "faults", modes=["sequence"], labels=labels, saved_model=False, verify=False)


def export_translator(folder: Path, random) -> None:
    import keras_rnnkit as rk

    source, target = (rk.text.Vocabulary.of(letters, reserved=RESERVED) for letters in ("abcdef", "uvwxyz"))
    encoder = rk.Encoder(rk.Bidirectional(rk.GRU(6)), len(source), 4)
    model = rk.Seq2Seq(encoder, rk.Decoder(rk.GRU(6), len(target), 4, attention=rk.attention.General()), limit=12)
    model((np.full((1, 2), 4), np.full((1, 2), 4)))
    export_seq2seq(model, folder / "translator", (source, target), random)


def export_captioner(folder: Path, random) -> None:
    import keras

    import keras_rnnkit as rk

    words = rk.text.Vocabulary.of("a red circle and a blue square", rk.text.Words(), RESERVED)
    pixels = keras.Input((12, 12, 3))
    features = keras.layers.Conv2D(4, 3, 3)(keras.layers.Rescaling(1 / 255)(pixels))
    encoder = rk.seq2seq.ImageEncoder(keras.Model(pixels, features), vector="mean")
    model = rk.Seq2Seq(encoder, rk.Decoder([rk.GRU(6)], len(words), 4, attention=rk.attention.Additive(6)))
    model((np.zeros((1, 12, 12, 3), "float32"), np.full((1, 2), 4)))
    export_seq2seq(model, folder / "captioner", (None, words), random)


def export_seq2seq(model, path: Path, vocabulary, random) -> None:
    """With weights by which it never ends, and never says a reserved token."""
    import keras_rnnkit as rk

    set_weights(model, random)
    bias = model.decoder.score.bias
    bias.assign(np.where(np.arange(bias.shape[0]) < len(RESERVED), -9.0, 0.0))
    rk.export_bundle(model, path, vocabulary=vocabulary, saved_model=False, verify=False)

"""The simplest classifier of texts, and the outputs of any of them for all texts of a part."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

import keras_rnnkit as rk
from keras_rnnkit.runs.labelled_texts import LabelledData


def bag_of_words(data: LabelledData):
    """A bag of words: every word adds its own numbers to the logits, wherever it stands."""
    words = keras.Input((None,), dtype="int32", name="words")
    weights = keras.layers.Embedding(len(data.words), len(data.names), name="weights")(words)
    there = ops.cast(ops.not_equal(words, 0), "float32")[..., None]
    total = ops.sum(weights * there, axis=1)
    bias = keras.layers.Dense(len(data.names), kernel_initializer="identity", name="logits")
    return keras.Model(words, bias(total), name="bag")


def logits_of(model, batches: rk.data.LabelledTexts) -> np.ndarray:
    """The logits of all texts [N, C], in their order."""
    import tensorflow as tf

    # Keras' predict would compile the model again for every length of a batch.
    forward = tf.function(model, input_signature=[tf.TensorSpec((None, None), tf.int32)], autograph=False)
    logits = np.zeros((len(batches.texts), model.output_shape[-1]), np.float32)
    for number in range(len(batches)):
        logits[batches.places(number)] = forward(batches.batch(number)[0])
    return logits


def probabilities_of(bundle, texts: list[np.ndarray]) -> np.ndarray:
    """The probabilities of texts of any lengths [N, C], by the bundle."""
    return np.asarray(bundle.predict(texts))

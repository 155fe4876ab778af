"""A `Seq2Seq` for plain TensorFlow."""

from __future__ import annotations

from functools import partial

import keras
import numpy as np
import tensorflow as tf
from keras import ops as kops

from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.generating.encoder_decoder_parts import (
    STEPS,
    Reading,
    Writing,
    exactly,
    free,
    source_spec,
    sources,
)
from keras_rnnkit.export.generating.generation_check import SCORE_TOLERANCE
from keras_rnnkit.export.reading.layer_hooks import hooked
from keras_rnnkit.export.saved_model import Plain, SavedModelReport
from keras_rnnkit.export.settings import Settings
from keras_rnnkit.export.tracing.tensorflow_graph import quiet
from keras_rnnkit.seq2seq import Seq2Seq


def saved_model(model: Seq2Seq, folder, settings: Settings) -> SavedModelReport:
    """A SavedModel for plain TensorFlow: "encoder" and "step" by name, and "translate", greedy and whole."""
    spec = source_spec(model)
    reading = Reading(model)
    found = reading(kops.ones(tuple(2 if n is None else n for n in spec.shape), dtype=spec.dtype))
    writing = Writing(model, sum(name.startswith("state_") for name in found))
    writing({**found, "token": kops.ones((2,), dtype="int32")})
    given = tf.TensorSpec(spec.shape, spec.dtype, "source")
    arrays = {name: tf.TensorSpec(free(model, name, x.shape), x.dtype, name) for name, x in found.items()}
    arrays["token"] = tf.TensorSpec((None,), "int32", "token")
    endpoints = {
        "encoder": (reading.call, [given]),
        "step": (writing.call, [arrays]),
        "translate": (partial(greedily, model), [given, tf.TensorSpec((), "int32", "steps")]),
    }
    archive = keras.export.ExportArchive()
    archive.track(model)
    with quiet(), hooked(Plain({})), exactly(model):
        for name, (function, signature) in endpoints.items():
            archive.add_endpoint(name, function, signature)
        archive.write_out(str(folder), verbose=False)
    with exactly(model):
        error = compared(model, folder) if settings.verify else None
    return SavedModelReport("saved_model", list(endpoints), error)


def compared(model: Seq2Seq, folder) -> float:
    """The largest error of a score of the SavedModel's translations; ExportError if it writes something else."""
    translate, errors = tf.saved_model.load(str(folder)).signatures["translate"], []
    for source in sources(model):
        expected = model.translate(source, steps=STEPS)
        found = translate(source=tf.constant(source), steps=tf.constant(STEPS))
        errors.append(float(np.max(np.abs(expected.scores - np.asarray(found["scores"])))))
        if errors[-1] > SCORE_TOLERANCE * max(1.0, float(np.max(np.abs(expected.scores)))):
            raise ExportError(
                f"The SavedModel writes other tokens than Keras: {expected.tokens.tolist()} in Keras, "
                f"{np.asarray(found['tokens']).tolist()} there. No file was written."
            )
    return max(errors)


def greedily(model: Seq2Seq, source, steps):
    """Tokens [B, N] and scores [B] by a loop of TensorFlow's own."""
    memory, states = model.reading(source)
    token = tf.fill([tf.shape(source)[0]], np.int32(model.begin))
    live, score = tf.ones_like(token, tf.bool), tf.zeros_like(token, tf.float32)
    tokens = tf.TensorArray(tf.int32, size=0, dynamic_size=True, element_shape=[None])

    def turn(t, token, live, score, tokens, *states):
        logits, states, _ = model.decoder.step(token, list(states), memory)
        best = tf.where(live, tf.argmax(logits, -1, output_type=tf.int32), model.end)
        gain = tf.gather(tf.nn.log_softmax(logits), best, batch_dims=1)
        score = score + tf.where(live, gain, 0.0)
        return t + 1, best, live & (best != model.end), score, tokens.write(t, best), *states

    def going_on(t, token, live, *_):
        return (t < steps) & tf.reduce_any(live)

    start = (tf.constant(0), token, live, score, tokens, *states)
    _, _, _, score, tokens, *_ = tf.while_loop(going_on, turn, start)
    return {"tokens": tf.transpose(tokens.stack()), "scores": score}

"""A `Seq2Seq` for plain TensorFlow."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_rnnkit.export.checking.comparison import compared
from keras_rnnkit.export.drafts import Drafts
from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.generating.encoder_decoder.parts import EncoderFile, EncoderModel, PartFile, StepFile, free
from keras_rnnkit.export.generating.encoder_decoder.translation_check import called_eagerly
from keras_rnnkit.export.generating.generation_check import Hypotheses, TokenComparison
from keras_rnnkit.export.generating.prompt_trial import STEPS
from keras_rnnkit.export.modes import Sequences
from keras_rnnkit.export.reading.hooks.layer_hooks import hooked
from keras_rnnkit.export.reading.precision import computing_in_float32
from keras_rnnkit.export.saved_model import Plain, SavedModelReport, by_signature, layer_of_saved
from keras_rnnkit.export.settings import Settings
from keras_rnnkit.export.tracing.tensorflow_graph import quiet
from keras_rnnkit.seq2seq import Seq2Seq


def saved_model(model: Seq2Seq, folder: Path, settings: Settings, drafts: Drafts | None = None) -> SavedModelReport:
    """A SavedModel for plain TensorFlow: "encoder" and "step" by name, and "translate", greedy and whole."""
    drafts = drafts or Drafts()
    encoder = drafts.keep("encoder model", lambda: EncoderModel(model))
    parts: list[PartFile] = [EncoderFile(encoder, settings, drafts), StepFile(encoder, settings, drafts)]
    with computing_in_float32(model):
        write(model, folder, encoder, parts[1].model)
        error = check_loaded(model, folder, parts, settings.tolerance) if settings.verify else None
    return SavedModelReport("saved_model", ["encoder", "step", "translate"], error)


def write(model: Seq2Seq, folder: Path, encoder: EncoderModel, step: Any) -> None:
    source = tf.TensorSpec(encoder.spec.shape, encoder.spec.dtype, "source")
    arrays = {name: tf.TensorSpec(free(model, name, x.shape), x.dtype, name) for name, x in encoder.example.items()}
    arrays["token"] = tf.TensorSpec((None,), "int32", "token")
    endpoints = {
        "encoder": (encoder.call, [source]),
        "step": (step.call, [arrays]),
        "translate": (partial(greedily, model), [source, tf.TensorSpec((), "int32", "steps")]),
    }
    archive = keras.export.ExportArchive()
    archive.track(model)
    with quiet(), hooked(Plain({})):
        for name, (function, signature) in endpoints.items():
            archive.add_endpoint(name, function, signature)
        archive.write_out(str(folder), verbose=False)


def check_loaded(model: Seq2Seq, folder: Path, parts: list[PartFile], tolerance: float) -> float:
    """The largest error of the SavedModel on disk; ExportError if it is more than the tolerance."""
    loaded = tf.saved_model.load(str(folder))
    errors = [check_signature(file, loaded, tolerance) for file in parts]
    return max([*errors, check_translations(model, parts, loaded, tolerance)])


def check_signature(file: Sequences, loaded, tolerance: float) -> float:
    trial = file.trial()
    actual = trial.computed(by_signature(loaded.signatures[file.mode]), trial.expected())
    comparison = compared(trial.expected(), actual, tolerance, trial.moved_runs)
    if comparison.failure:
        raise ExportError(
            f"The SavedModel is not exact: of its signature {file.mode!r} the output {comparison.failure.name!r} "
            f"{comparison.failure.sentence}. {layer_of_saved(file, loaded)} No file was written; a larger tolerance= "
            "accepts it."
        )
    return comparison.error


def check_translations(model: Seq2Seq, parts: list[PartFile], loaded, tolerance: float) -> float:
    """The largest error of a score of the SavedModel's greedy translations."""
    errors, translate = [], by_signature(loaded.signatures["translate"])
    logits = [outputs["logits"] for outputs in parts[1].trial().expected()]
    scale = STEPS * max(float(np.ptp(x)) for x in logits)
    with called_eagerly(model), tf.device("/CPU:0"):
        for source in parts[0].tried_sources():
            expected = model.translate(source, steps=STEPS)
            outputs = translate({"source": source, "steps": np.array(STEPS, np.int32)})
            tokens, scores = outputs["tokens"], outputs["scores"]
            lengths = lengths_of(tokens, model.end)
            wanted = Hypotheses(expected.tokens, expected.scores, lengths_of(expected.tokens, model.end))
            comparison = TokenComparison(tolerance, scale, lambda: [])
            errors.append(comparison(wanted, Hypotheses(tokens, scores, lengths)))
    return max(errors)


def lengths_of(tokens: np.ndarray, end: int) -> np.ndarray:
    """The number of tokens of each row, the first end among them."""
    ends = tokens == end
    return np.where(ends.any(axis=1), ends.argmax(axis=1) + 1, tokens.shape[1])


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

    def unfinished(t, token, live, *_):
        return (t < steps) & tf.reduce_any(live)

    start = (tf.constant(0), token, live, score, tokens, *states)
    _, _, _, score, tokens, *_ = tf.while_loop(unfinished, turn, start)
    return {"tokens": tf.transpose(tokens.stack()), "scores": score}

"""Encoder and decoder as one model."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops, tree

from keras_rnnkit.decoding import Aligned, Greedy, Strategy, align, noise
from keras_rnnkit.decoding.sources import checked_source
from keras_rnnkit.ops import keras as kops
from keras_rnnkit.seq2seq.decoder import Decoder, Memory


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class Seq2Seq(keras.Model):
    """An encoder and a decoder: one set of weights reads a source, another writes a target.

    Trained with teacher forcing: from (source, target before each step) to logits of the target,

        model.fit((source, target[:, :-1]), target[:, 1:])       with loss rk.training.NextToken(ignore=0)

    where a target is BEGIN, its tokens, END, and 0 for padding.

    Arguments:
        encoder: `rk.Encoder`, `rk.seq2seq.ImageEncoder`, or a layer of your own that returns `Encoded`.
        decoder: `rk.Decoder`.
        begin, end: the tokens around a target; the defaults are those of `rk.text.Vocabulary` with all reserved tokens.
        limit: number of steps of the longest source that `translate` accepts; None for any.

    Shapes: source [B, S] or [B, S, D], target before each step [B, T]; logits [B, T, vocabulary size].

    >>> import numpy as np, keras_rnnkit as rk
    >>> model = Seq2Seq(
    ...     rk.Encoder(rk.Bidirectional(rk.GRU(16)), vocabulary_size=12, embedding_dim=8),
    ...     rk.Decoder(rk.GRU(16), vocabulary_size=9, embedding_dim=8, attention=rk.attention.Additive(16)),
    ... )
    >>> source, target = np.array([[4, 5, 6, 0], [7, 8, 9, 10]]), np.array([[2, 4, 5, 3], [2, 6, 3, 0]])
    >>> model((source, target[:, :-1])).shape
    TensorShape([2, 3, 9])
    >>> translation = model.translate(source, rk.decoding.Beam(3), steps=5)
    >>> translation.tokens.shape[:2], translation.attention.shape[-1]
    ((2, 3), 4)
    """

    def __init__(self, encoder, decoder: Decoder, begin: int = 2, end: int = 3, limit: int | None = None, **kwargs):
        super().__init__(**kwargs)
        check_sides(encoder, decoder)
        self.encoder, self.decoder = encoder, decoder
        self.begin, self.end = (checked_token(n, t, decoder) for n, t in (("begin", begin), ("end", end)))
        self.limit = limit
        self._graphs: dict[str, Any] = {}

    def build(self, inputs_shape):
        source, target = (tuple(shape) for shape in inputs_shape)
        self.source_shape = source
        if not self.encoder.built:
            self.encoder.build(source)
            self.encoder.built = True
        reads_tokens = getattr(self.encoder, "vocabulary_size", None) is not None
        source = keras.KerasTensor(source, dtype="int32" if reads_tokens else self.compute_dtype)
        encoded = self.encoder(source)
        self.decoder.build(target, tree.map_structure(lambda x: tuple(x.shape), encoded))
        self.decoder.built = True

    def call(self, inputs, training=False):
        source, target = inputs
        encoded = self.encoder(source, training=training)
        return self.decoder(target, encoded, training=training)

    # ------------------------------------------------------------------ writing

    def translate(self, source: Any, strategy: Strategy | None = None, steps: int = 100, seed: int = 0) -> Aligned:
        """Targets for sources, token after token, until every target has reached its end or has `steps` tokens.

        Arguments:
            source: tokens [B, S], or lists of tokens of different lengths; features [B, S, D] or images.
            strategy: one of `rk.decoding`; greedy if left out. A beam returns all its hypotheses, the best first.
            steps: number of tokens of the longest target.
            seed: seed of the noise that sampling draws from.
        """
        strategy = strategy or Greedy()
        source = checked_source(source, getattr(self.encoder, "vocabulary_size", None), self.limit)
        drawn = ops.convert_to_tensor(noise(seed, len(source), steps)) if strategy.needs_noise else None
        memory, states = self._read(ops.convert_to_tensor(source))
        tokens = ops.full((len(source),), self.begin, dtype="int32")
        first = self._step(tokens, states, memory)
        memory = Memory(*(None if x is None else ops.repeat(x, strategy.rows, axis=0) for x in memory))

        def step(tokens, states):
            return self._step(ops.cast(tokens, "int32"), states, memory)

        aligned = align(kops, step, first, strategy, steps, drawn, self.end)
        return Aligned(*(ops.convert_to_numpy(x) for x in aligned))

    def log_probabilities(self, source: Any, target: Any) -> np.ndarray:
        """The log-probability of each token of targets [B, T], given the tokens before it.

        The sum over a target is the score that decoding gives it.
        """
        source = checked_source(source, getattr(self.encoder, "vocabulary_size", None), self.limit)
        target = checked_target(target, len(source), self.decoder.vocabulary_size)
        before = np.concatenate([np.full((len(target), 1), self.begin), target[:, :-1]], axis=1)
        logits = self((ops.convert_to_tensor(source), ops.convert_to_tensor(before.astype("int32"))), training=False)
        log_p = ops.convert_to_numpy(ops.log_softmax(ops.cast(logits, "float32"), axis=-1))
        return np.take_along_axis(log_p, target[..., None], axis=-1)[..., 0]

    def reading(self, source) -> tuple[Memory, list[Any]]:
        """The parts of a source that every step reads, and the states before the first token."""
        encoded = self.encoder(source, training=False)
        return self.decoder.remember(encoded), self.decoder.begin(encoded)

    def _read(self, source):
        return self._run("reading", self.reading, source)

    def _step(self, tokens, states, memory: Memory):
        def step(tokens, states, arrays):
            return self.decoder.step(tokens, states, Memory(**arrays))

        return self._run("step", step, tokens, states, memory.arrays)

    def _run(self, name: str, function, *arguments):
        """function(*arguments); on TensorFlow through a graph that takes any number of rows and steps."""
        if keras.backend.backend() != "tensorflow":
            return function(*arguments)
        if name not in self._graphs:
            self._graphs[name] = compiled(function, arguments)
        return self._graphs[name](*arguments)

    # ------------------------------------------------------------------ as a Keras model

    def get_config(self):
        return {
            "name": self.name,
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "decoder": keras.saving.serialize_keras_object(self.decoder),
            "begin": self.begin,
            "end": self.end,
            "limit": self.limit,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        sides = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects=custom_objects)
            for name in ("encoder", "decoder")
        }
        return cls(**{**config, **sides})


def check_sides(encoder, decoder) -> None:
    if not isinstance(encoder, keras.layers.Layer):
        raise ValueError(
            "Seq2Seq takes as encoder an rk.Encoder, an rk.seq2seq.ImageEncoder or a Keras layer that returns "
            f"rk.seq2seq.Encoded. Received: {encoder!r}."
        )
    if not isinstance(decoder, Decoder):
        raise ValueError(f"Seq2Seq takes as decoder an rk.Decoder. Received: {decoder!r}.")


def checked_token(name: str, token, decoder: Decoder) -> int:
    if hasattr(token, "__index__") and 0 <= token < decoder.vocabulary_size:
        return int(token)
    raise ValueError(
        f"Seq2Seq: {name} must be the number of one of the decoder's {decoder.vocabulary_size} tokens. "
        f"Received: {name}={token!r}."
    )


def checked_target(target, sources: int, vocabulary_size: int) -> np.ndarray:
    target = np.asarray(target)
    if len(target) != sources:
        raise ValueError(f"Each source needs one target. Received: {sources} source(s) and {len(target)} target(s).")
    if target.size and not 0 <= target.min() <= target.max() < vocabulary_size:
        raise ValueError(
            f"Targets hold the tokens 0 to {vocabulary_size - 1}. Received: {target.min()} to {target.max()}."
        )
    return target


def compiled(function, example):
    """A TensorFlow graph for arguments like the example, with any number of rows and steps."""
    import tensorflow as tf

    signature = tree.map_structure(lambda x: tf.TensorSpec(free_shape(x.shape), x.dtype), example)
    return tf.function(function, input_signature=signature, autograph=False)


def free_shape(shape) -> tuple[int | None, ...]:
    """A shape with any number of rows and steps.

    >>> free_shape((2, 7)), free_shape((2, 7, 16)), free_shape((2, 48, 48, 3))
    ((None, None), (None, None, None), (None, 48, 48, 3))
    """
    return tuple(None if len(shape) < 4 or i == 0 else n for i, n in enumerate(shape))

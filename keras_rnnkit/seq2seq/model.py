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
    """Reads a source with one set of weights and writes a target with another.

    Trained with teacher forcing: from (source, target before each step) to logits of the target,

        model.fit((source, target[:, :-1]), target[:, 1:])       with loss rk.training.NextToken(ignore=0)

    where a target is BEGIN, its tokens, END, and 0 for padding.

    Arguments:
        encoder: `rk.Encoder`, `rk.seq2seq.ImageEncoder`, or a layer of your own that returns `Encoded`.
        decoder: `rk.Decoder`.
        begin, end: the tokens around a target; the defaults are those of `rk.text.Vocabulary` with all reserved tokens.
        limit: steps of the longest source that it may be given.

    >>> import numpy as np, keras_rnnkit as rk
    >>> model = Seq2Seq(
    ...     rk.Encoder(rk.Bidirectional(rk.GRU(16)), vocabulary_size=12, embedding_dim=8),
    ...     rk.Decoder(rk.GRU(16), vocabulary_size=9, embedding_dim=8, attention=rk.attention.Additive(16)),
    ... )
    >>> source, target = np.array([[4, 5, 6, 0], [7, 8, 9, 10]]), np.array([[2, 4, 5, 3], [2, 6, 3, 0]])
    >>> model((source, target[:, :-1])).shape
    TensorShape([2, 3, 9])
    >>> found = model.translate(source, rk.decoding.Beam(3), steps=5)
    >>> found.tokens.shape[:2], found.attention.shape[-1]
    ((2, 3), 4)
    """

    def __init__(self, encoder, decoder: Decoder, begin: int = 2, end: int = 3, limit: int | None = None, **kwargs):
        super().__init__(**kwargs)
        self.encoder, self.decoder = encoder, decoder
        self.begin, self.end, self.limit = int(begin), int(end), limit
        self._graphs: dict[str, Any] = {}
        for name, token in (("begin", self.begin), ("end", self.end)):
            if not 0 <= token < decoder.vocabulary_size:
                raise ValueError(
                    f"{name} is one of the decoder's {decoder.vocabulary_size} tokens. Received: {name}={token}."
                )

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
        """Targets of sources, by this Keras model: token after token, at most `steps`, until all have met the end.

        Arguments:
            source: tokens [B, S], or lists of tokens of different lengths; features [B, S, D] or images.
            strategy: of `rk.decoding`; greedy if left out. A beam gives all its hypotheses, the best first.
            seed: of the noise that sampling draws from.
        """
        strategy = strategy or Greedy()
        source = checked_source(source, getattr(self.encoder, "vocabulary_size", None), self.limit)
        drawn = noise(seed, len(source), steps) if strategy.needs_noise else None
        memory, states = self._read(ops.convert_to_tensor(source))
        tokens = ops.full((len(source),), self.begin, dtype="int32")
        first = self._step(tokens, states, memory)
        memory = Memory(*(None if x is None else ops.repeat(x, strategy.rows, axis=0) for x in memory))

        def step(tokens, states):
            return self._step(ops.cast(tokens, "int32"), states, memory)

        drawn = None if drawn is None else ops.convert_to_tensor(drawn)
        found = align(kops, step, first, strategy, steps, drawn, self.end)
        return Aligned(*(ops.convert_to_numpy(x) for x in found))

    def log_probabilities(self, source: Any, target: Any) -> np.ndarray:
        """Of each token of targets [B, T], given those before it; the sums are the scores that decoding gives."""
        source = checked_source(source, getattr(self.encoder, "vocabulary_size", None), self.limit)
        target = np.asarray(target)
        before = np.concatenate([np.full((len(target), 1), self.begin), target[:, :-1]], axis=1)
        logits = self((ops.convert_to_tensor(source), ops.convert_to_tensor(before.astype("int32"))), training=False)
        log_p = ops.convert_to_numpy(ops.log_softmax(ops.cast(logits, "float32"), axis=-1))
        return np.take_along_axis(log_p, target[..., None], axis=-1)[..., 0]

    def reading(self, source) -> tuple[Memory, list[Any]]:
        """What every step sees of a source, and the states before the first token."""
        encoded = self.encoder(source, training=False)
        return self.decoder.remember(encoded), self.decoder.begin(encoded)

    def _read(self, source):
        return self._run("reading", self.reading, source)

    def _step(self, tokens, states, memory: Memory):
        def step(tokens, states, known):
            return self.decoder.step(tokens, states, Memory(**known))

        return self._run("step", step, tokens, states, memory.known)

    def _run(self, name: str, function, *arguments):
        """The function of these arguments; on TensorFlow by a graph for any number of rows and steps."""
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
        parts = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects=custom_objects)
            for name in ("encoder", "decoder")
        }
        return cls(**{**config, **parts})


def compiled(function, example):
    """A graph of TensorFlow's for arguments like these, with other rows and steps."""
    import tensorflow as tf

    signature = tree.map_structure(lambda x: tf.TensorSpec(free(x.shape), x.dtype), example)
    return tf.function(function, input_signature=signature, autograph=False)


def free(shape) -> tuple[int | None, ...]:
    """With free rows and steps.

    >>> free((2, 7)), free((2, 7, 16)), free((2, 48, 48, 3))
    ((None, None), (None, None, None), (None, 48, 48, 3))
    """
    return tuple(None if len(shape) < 4 or i == 0 else n for i, n in enumerate(shape))

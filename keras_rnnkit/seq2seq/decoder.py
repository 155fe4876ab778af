"""The decoder: it writes a target, one token after the other."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
from keras import ops, tree

from keras_rnnkit.cells.arguments import positive_integer, rate
from keras_rnnkit.layers.recurrent import Recurrent
from keras_rnnkit.layers.stack import set_options
from keras_rnnkit.seq2seq import step_by_step
from keras_rnnkit.seq2seq.attention import Attention
from keras_rnnkit.seq2seq.bridge import Bridge
from keras_rnnkit.seq2seq.encoder import Encoded


class Memory(NamedTuple):
    """The parts of a source that every step of a decoder reads; None for those it does not use.

    values, valid: as in `Encoded`. keys: [B, S, A], the attention's keys of the values. vector: [B, V], the last
    states of the encoder side by side.
    """

    values: Any = None
    keys: Any = None
    valid: Any = None
    vector: Any = None

    @property
    def arrays(self) -> dict[str, Any]:
        """The parts that are not None, by name."""
        return {name: value for name, value in self._asdict().items() if value is not None}


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class Decoder(keras.layers.Layer):
    """Writes a target from what an encoder read.

        x_t = [E y_{t-1}; a_{t-1}; v]        a with input_feeding, v with condition
        h_t = layers(x_t, h_{t-1})           h_0 from the encoder, by the bridge
        c_t = sum_s softmax_s(score(h_t, m_s)) m_s
        a_t = tanh(W_a [c_t; h_t])           with attention; a_t = h_t without
        p(y_t) = softmax(W a_t + b)

    Papers: I. Sutskever, 2014 (the fixed vector as the first state); K. Cho, 2014 (v at every step, which for image
    captions is the term W_ih v of Karpathy, 2015); M.-T. Luong, 2015 (attention, input feeding). Additive attention
    comes after the recurrence, where Luong has attention, as in TensorFlow Addons; Bahdanau computes it from h_{t-1},
    before the recurrence.

    Without input feeding and scheduled sampling only the recurrence itself waits for the step before: everything else
    is computed for all steps at once, and the recurrence runs on the fastest kernel. With either of them training
    goes step by step.

    Shapes: tokens y [B, T]; logits [B, T, vocabulary_size]; h_t [B, U]; a_t [B, attention_size] or [B, U].

    Arguments:
        layers: a recurrent layer or a cell, or a list from the bottom up: rk.LSTM(64), rk.cells.GRUCell(64), ...
        vocabulary_size: number of tokens.
        embedding_dim: width of the embedding of a token.
        attention: one of `rk.attention`, or None.
        attention_size: width of a_t; the width of the top layer if left out.
        input_feeding: give each step the a of the step before it.
        condition: give each step the fixed vector of the source.
        bridge: how the first states are computed from the encoder's last states: "auto", "pass", "dense" or "zeros".
        dropout: rate of dropout on the input of the layers and on a_t.
        token_dropout: share of the previous tokens that are hidden in training, so that the decoder relies on the
            source more than on the tokens it has written (S. Bowman, 2016, "word dropout").
        scheduled_sampling: allow the callback `rk.seq2seq.ScheduledSampling`, which sets how often the decoder reads
            tokens drawn from its own distribution in training (S. Bengio, 2015).
        seed: seed of dropout and sampling.

    >>> import numpy as np, keras_rnnkit as rk
    >>> encoded = rk.Encoder(rk.GRU(8), vocabulary_size=10, embedding_dim=4)(np.array([[4, 5, 0]]))
    >>> decoder = Decoder(rk.GRU(8), vocabulary_size=9, embedding_dim=4, attention=rk.attention.Dot())
    >>> decoder(np.array([[2, 4, 6, 5]]), encoded).shape
    TensorShape([1, 4, 9])
    """

    def __init__(
        self,
        layers,
        vocabulary_size,
        embedding_dim,
        attention=None,
        attention_size=None,
        input_feeding=False,
        condition=False,
        bridge="auto",
        dropout=0.0,
        token_dropout=0.0,
        scheduled_sampling=False,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.layers = as_layers(layers)
        self.vocabulary_size = positive_integer("vocabulary_size", vocabulary_size, self)
        self.embedding_dim = positive_integer("embedding_dim", embedding_dim, self)
        self.attention = checked_attention(attention)
        if attention_size is None:
            attention_size = self.layers[-1].cell.output_size
        self.attention_size = positive_integer("attention_size", attention_size, self)
        self.input_feeding, self.condition, self.scheduled_sampling = input_feeding, condition, scheduled_sampling
        self.dropout, self.seed = rate("dropout", dropout, self), seed
        self.token_dropout = rate("token_dropout", token_dropout, self)
        self.sizes = [list(tree.flatten(layer.cell.state_size)) for layer in self.layers]
        self.bridge = Bridge([size for sizes in self.sizes for size in sizes], bridge, name="bridge")
        self.embedding = keras.layers.Embedding(vocabulary_size, embedding_dim, name="embedding")
        self.combine = None
        if self.attention is not None:
            self.combine = keras.layers.Dense(self.attention_size, "tanh", use_bias=False, name="combine")
        self.score = keras.layers.Dense(vocabulary_size, dtype="float32", name="score")
        seeds = [None if seed is None else seed + i for i in range(3)]
        self.input_dropout = keras.layers.Dropout(self.dropout, seed=seeds[0])
        self.output_dropout = keras.layers.Dropout(self.dropout, seed=seeds[1])
        # With this noise shape a token is hidden as a whole, not feature by feature.
        self.token_hiding = keras.layers.Dropout(self.token_dropout, noise_shape=(None, None, 1), seed=seeds[2])
        self.sampling_seeds = keras.random.SeedGenerator(seed)
        if self.input_feeding or self.scheduled_sampling:
            step_by_step.check_cells(self.layers)

    @property
    def width(self) -> int:
        """Width of a_t."""
        return self.attention_size if self.attention is not None else self.layers[-1].cell.output_size

    def build(self, tokens_shape, encoded_shape):
        values, _, states = encoded_shape
        if self.scheduled_sampling:
            self.sampling = self.add_weight(name="sampling", shape=(), initializer="zeros", trainable=False)
        build_once(self.embedding, tokens_shape)
        build_once(self.bridge, states)
        widths = self.input_widths(self.embedding_dim + sum(s[-1] for s in states) * self.condition)
        for layer, width in zip(self.layers, widths, strict=True):
            build_once(layer, (None, None, width))
        if self.attention is not None:
            top = self.layers[-1].cell.output_size
            build_once(self.attention, (None, None, top), tuple(values))
            build_once(self.combine, (None, None, values[-1] + top))
        build_once(self.score, (None, None, self.width))

    def input_widths(self, embedded: int) -> list[int]:
        """The width of what each layer reads, where [E y; v] has width `embedded`."""
        fed = self.width if self.input_feeding else 0
        return [embedded + fed, *(layer.cell.output_size for layer in self.layers[:-1])]

    # ------------------------------------------------------------------ computed once for a source

    def remember(self, encoded: Encoded) -> Memory:
        """The parts of the source that every step reads."""
        vector = ops.concatenate(list(encoded.states), axis=-1) if self.condition else None
        if self.attention is None:
            return Memory(vector=vector)
        return Memory(encoded.values, self.attention.keys(encoded.values), encoded.valid, vector)

    def begin(self, encoded: Encoded) -> list[Any]:
        """The states before the first token."""
        states = self.bridge(list(encoded.states))
        if not self.input_feeding:
            return states
        return [*states, ops.zeros((ops.shape(states[0])[0], self.width), dtype=self.compute_dtype)]

    # ------------------------------------------------------------------ the parts of the equation

    def embed(self, tokens, memory: Memory, training=False):
        """[E y; v] of tokens [B, T]."""
        x = self.token_hiding(self.embedding(tokens), training=training)
        x = self.input_dropout(x, training=training)
        if memory.vector is None:
            return x
        v = ops.zeros_like(x[..., :1]) + ops.cast(memory.vector, x.dtype)[:, None]
        return ops.concatenate([x, v], axis=-1)

    def attend(self, h, memory: Memory):
        """(a, attention weights [B, T, S]) from h [B, T, U]; without attention (h, no weights)."""
        if self.attention is None or self.combine is None:
            return h, h[..., :0]
        context, weights = self.attention(h, memory.values, memory.valid, memory.keys)
        return self.combine(ops.concatenate([context, h], axis=-1)), weights

    def recur(self, x, states: list[Any], training=False, noise=()):
        """h_t [B, U] and the states of all layers after the step; noise: that of each cell for this step."""
        rest, after = iter(states), []
        for layer, sizes, drawn in zip(self.layers, self.sizes, noise or [()] * len(self.layers), strict=True):
            if drawn:
                layer.cell.use_noise(drawn)
            x, new = layer.cell(x, [next(rest) for _ in sizes], training=training)
            after += tree.flatten(new)
        return x, after

    def advance(self, x, states: list[Any], memory: Memory, training=False, noise=()):
        """One step: (a [B, U], states, attention weights [B, S]), from [E y; v] [B, D]."""
        if self.input_feeding:
            *states, before = states
            x = ops.concatenate([x[:, : self.embedding_dim], before, x[:, self.embedding_dim :]], axis=-1)
        h, states = self.recur(x, states, training, noise)
        a, weights = self.attend(h[:, None], memory)
        return a[:, 0], [*states, a[:, 0]] if self.input_feeding else states, weights[:, 0]

    # ------------------------------------------------------------------ one token, and all of them

    def step(self, tokens, states: list[Any], memory: Memory):
        """(logits [B, V], states, attention weights [B, S]) after tokens [B]."""
        x = self.embed(tokens[:, None], memory)[:, 0]
        a, states, weights = self.advance(x, states, memory)
        return self.score(a), states, weights

    def call(self, tokens, encoded, training=False):
        """Logits [B, T, V], from the tokens before each [B, T] and what the encoder returned."""
        memory, states = self.remember(encoded), self.begin(encoded)
        if self.scheduled_sampling and training:
            return step_by_step.sampled_logits(self, tokens, states, memory)
        x = self.embed(tokens, memory, training)
        if self.input_feeding:
            a = step_by_step.fed_outputs(self, x, states, memory, training)
        else:
            a = self.parallel_outputs(x, states, memory, training)
        return self.score(self.output_dropout(a, training=training))

    def parallel_outputs(self, x, states, memory: Memory, training):
        """a [B, T, U] without input feeding: all but the recurrence is computed for all steps at once."""
        rest = iter(states)
        for layer, sizes in zip(self.layers, self.sizes, strict=True):
            x, *_ = layer(x, initial_state=[next(rest) for _ in sizes], training=training)
        return self.attend(x, memory)[0]

    # ------------------------------------------------------------------ as a Keras layer

    def get_build_config(self):
        """None, so that Keras does not build a loaded decoder alone: it needs the shapes of an encoder's output."""

    def compute_output_shape(self, tokens_shape, encoded_shape):
        return (*tokens_shape, self.vocabulary_size)

    def get_config(self):
        sizes = ("vocabulary_size", "embedding_dim", "attention_size")
        options = ("input_feeding", "condition", "dropout", "token_dropout", "scheduled_sampling", "seed")
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in (*sizes, *options)},
            "layers": [keras.saving.serialize_keras_object(layer) for layer in self.layers],
            "attention": self.attention and keras.saving.serialize_keras_object(self.attention),
            "bridge": self.bridge.kind,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        layers = [keras.saving.deserialize_keras_object(c, custom_objects=custom_objects) for c in config["layers"]]
        attention = config["attention"] and keras.saving.deserialize_keras_object(
            config["attention"], custom_objects=custom_objects
        )
        return cls(**{**config, "layers": layers, "attention": attention})


def build_once(layer, *shapes) -> None:
    """Build a layer, unless it comes from a file and is built already."""
    if not layer.built:
        layer.build(*shapes)
        layer.built = True


def as_layers(layers) -> list:
    layers = list(layers) if isinstance(layers, list | tuple) else [layers]
    if not layers:
        raise ValueError("Decoder needs at least one recurrent layer or cell. Received: an empty list.")
    return [as_layer(layer) for layer in layers]


def as_layer(layer):
    """A recurrent layer that returns its outputs and states, from a layer or a cell."""
    if isinstance(layer, keras.layers.RNN):
        set_options(layer, return_sequences=True, return_state=True)
    elif hasattr(layer, "state_size") and hasattr(layer, "call") and not hasattr(layer, "return_sequences"):
        layer = Recurrent(layer, return_sequences=True, return_state=True)
    else:
        raise ValueError(
            "Decoder takes recurrent layers that read forwards, such as rk.LSTM(64), or cells; a list of them for a "
            f"deep one. Received: {layer!r}."
        )
    if layer.go_backwards or layer.stateful:
        raise ValueError(
            f"Decoder writes forwards, from the states of its source. Received: a layer with "
            f"{'go_backwards' if layer.go_backwards else 'stateful'}=True."
        )
    return layer


def checked_attention(attention):
    if attention is None or isinstance(attention, Attention):
        return attention
    raise ValueError(
        f"attention is None or one of rk.attention, such as rk.attention.Additive(64). Received: {attention!r}."
    )

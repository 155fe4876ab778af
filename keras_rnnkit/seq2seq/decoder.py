"""What writes a target, one token after the other."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
from keras import ops, tree

from keras_rnnkit.cells.base import positive_integer, rate
from keras_rnnkit.decoding import Sampling
from keras_rnnkit.layers.recurrent import Recurrent
from keras_rnnkit.layers.stack import ask
from keras_rnnkit.ops import keras as kops
from keras_rnnkit.seq2seq.attention import Attention
from keras_rnnkit.seq2seq.bridge import Bridge
from keras_rnnkit.seq2seq.encoder import Encoded


class Memory(NamedTuple):
    """What every step of a decoder sees of the source; None for what it does not look at.

    values, valid: as in `Encoded`. keys: those of the attention. vector: [B, V], all last states side by side.
    """

    values: Any = None
    keys: Any = None
    valid: Any = None
    vector: Any = None

    @property
    def known(self) -> dict[str, Any]:
        """What there is of it, by name."""
        return {name: value for name, value in self._asdict().items() if value is not None}


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class Decoder(keras.layers.Layer):
    """Writes a target from what an encoder read.

        x_t = [E y_{t-1}; a_{t-1}; v]        a with input_feeding, v with condition
        h_t = layers(x_t, h_{t-1})           h_0 from the encoder, by the bridge
        c_t = sum_s softmax_s(score(h_t, m_s)) m_s
        a_t = tanh(W_a [c_t; h_t])           with attention; a_t = h_t without
        p(y_t) = softmax(W a_t + b)

    Papers: I. Sutskever, 2014 (fixed vector as the first state); K. Cho, 2014 (v at every step: W x_t holds W_ih v of
    image captions too); M.-T. Luong, 2015 (attention, input feeding). Additive attention stands where Luong has his,
    after the recurrence, as in TensorFlow Addons; Bahdanau looks with h_{t-1}, before it.

    Without input feeding and scheduled sampling nothing but the recurrence itself waits for the step before: all else
    is computed for all steps at once, and the recurrence runs on the fastest kernel.

    Arguments:
        layers: a recurrent layer or a cell, or a list from the bottom up: rk.LSTM(64), rk.cells.GRUCell(64), ...
        vocabulary_size, embedding_dim: of the tokens to write.
        attention: one of `rk.attention`, or None.
        attention_size: width of a_t; that of the top layer if left out.
        input_feeding: show each step what the step before had seen and decided.
        condition: show each step the fixed vector of the source.
        bridge: how the first states follow from the encoder's last: "auto", "pass", "dense" or "zeros".
        dropout: of what goes into the layers, and of a_t.
        token_dropout: how often the token before a step is not shown in training, so that what is written follows from
            the source and not from what usually follows (S. Bowman, 2016, "word dropout").
        scheduled_sampling: be ready for it: `rk.seq2seq.ScheduledSampling` says how often the model reads its own
            tokens in training (S. Bengio, 2015). Drawn from its own distribution.
        seed: of dropout and sampling.
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
        self.layers = [as_layer(layer) for layer in (layers if isinstance(layers, list | tuple) else [layers])]
        self.vocabulary_size = positive_integer("vocabulary_size", vocabulary_size, self)
        self.embedding_dim = positive_integer("embedding_dim", embedding_dim, self)
        self.attention = checked_attention(attention)
        self.attention_size = attention_size or self.layers[-1].cell.output_size
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
        self.drop_in = keras.layers.Dropout(self.dropout, seed=seed)
        self.drop_out = keras.layers.Dropout(self.dropout, seed=None if seed is None else seed + 1)
        unseen = {"noise_shape": (None, None, 1), "seed": None if seed is None else seed + 2}
        self.drop_token = keras.layers.Dropout(self.token_dropout, **unseen)
        self.seeds = keras.random.SeedGenerator(seed)
        if self.turns:
            check_turns(self.layers)

    @property
    def turns(self) -> bool:
        """Whether training goes step by step."""
        return self.input_feeding or self.scheduled_sampling

    @property
    def width(self) -> int:
        """Of a_t."""
        return self.attention_size if self.attention is not None else self.layers[-1].cell.output_size

    def build(self, tokens_shape, encoded_shape):
        values, _, states = encoded_shape
        if self.scheduled_sampling:
            self.sampling = self.add_weight(name="sampling", shape=(), initializer="zeros", trainable=False)
        build_once(self.embedding, tokens_shape)
        build_once(self.bridge, states)
        x = self.embedding_dim + self.width * self.input_feeding + sum(s[-1] for s in states) * self.condition
        for layer in self.layers:
            build_once(layer, (None, None, x))
            x = layer.cell.output_size
        if self.attention is not None:
            build_once(self.attention, (None, None, x), tuple(values))
            build_once(self.combine, (None, None, values[-1] + x))
        build_once(self.score, (None, None, self.width))

    # ------------------------------------------------------------------ what stands still while tokens are written

    def remember(self, encoded: Encoded) -> Memory:
        """What every step sees of the source."""
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

    # ------------------------------------------------------------------ the parts of the equation, for any steps

    def enter(self, tokens, memory: Memory, training=False):
        """[E y; v] of tokens [B, T]."""
        x = self.drop_in(self.drop_token(self.embedding(tokens), training=training), training=training)
        if memory.vector is None:
            return x
        v = ops.zeros_like(x[..., :1]) + ops.cast(memory.vector, x.dtype)[:, None]
        return ops.concatenate([x, v], axis=-1)

    def leave(self, h, memory: Memory):
        """(a, where it looked) from h [B, T, U]."""
        if self.attention is None or self.combine is None:
            return h, h[..., :0]
        context, weights = self.attention(h, memory.values, memory.valid, memory.keys)
        return self.combine(ops.concatenate([context, h], axis=-1)), weights

    def recur(self, x, states: list[Any]):
        """h_t [B, U] and the states after it, of all layers."""
        given, after = iter(states), []
        for layer, sizes in zip(self.layers, self.sizes, strict=True):
            x, new = layer.cell(x, [next(given) for _ in sizes], training=False)
            after += tree.flatten(new)
        return x, after

    def advance(self, x, states: list[Any], memory: Memory):
        """One step: (a [B, U], states, where it looked [B, S]), from [E y; v] [B, D]."""
        if self.input_feeding:
            *states, before = states
            x = ops.concatenate([x[:, : self.embedding_dim], before, x[:, self.embedding_dim :]], axis=-1)
        h, states = self.recur(x, states)
        a, weights = self.leave(h[:, None], memory)
        return a[:, 0], [*states, a[:, 0]] if self.input_feeding else states, weights[:, 0]

    # ------------------------------------------------------------------ one token, and all of them

    def step(self, tokens, states: list[Any], memory: Memory):
        """(logits [B, V], states, where it looked [B, S]) after tokens [B]."""
        x = self.enter(tokens[:, None], memory)[:, 0]
        a, states, weights = self.advance(x, states, memory)
        return self.score(a), states, weights

    def call(self, tokens, encoded, training=False):
        """Logits [B, T, V], from the tokens before each [B, T] and what the encoder returned."""
        memory, states = self.remember(encoded), self.begin(encoded)
        if self.scheduled_sampling and training:
            return self.sampled(tokens, states, memory)
        x = self.enter(tokens, memory, training)
        a = self.turned(x, states, memory) if self.input_feeding else self.at_once(x, states, memory, training)
        return self.score(self.drop_out(a, training=training))

    def at_once(self, x, states, memory: Memory, training):
        given = iter(states)
        for layer, sizes in zip(self.layers, self.sizes, strict=True):
            x, *_ = layer(x, initial_state=[next(given) for _ in sizes], training=training)
        return self.leave(x, memory)[0]

    def turned(self, x, states, memory: Memory):
        """a [B, T, U], step by step: the last state is what is fed."""

        def turn(states, x):
            _, states, _ = self.advance(x, list(states), memory)
            return states, states

        _, stacked = ops.scan(turn, list(states), ops.transpose(x, (1, 0, 2)))
        return ops.transpose(stacked[-1], (1, 0, 2))

    def sampled(self, tokens, states, memory: Memory):
        """Logits, each step reading the token before it or, now and then, one that the model itself would write."""
        steps, batch = ops.shape(tokens)[1], ops.shape(tokens)[0]
        x = self.enter(tokens, memory, training=True)
        chance = keras.random.uniform((steps, batch, 2), seed=self.seeds)  # whether to draw, and what
        first = ops.cast(ops.arange(steps) == 0, "float32")[:, None, None] + ops.zeros_like(chance[..., :1])
        by_time = ops.cast(ops.transpose(x, (1, 0, 2)), "float32")
        own = ops.zeros((batch, self.vocabulary_size), dtype="float32")

        def turn(carry, now):
            *states, logits = carry
            x, coin, noise, first = ops.cast(now[:, :-3], x_dtype), now[:, -3], now[:, -2], now[:, -1]
            mine = self.enter(Sampling().pick(kops, logits, noise)[:, None], memory)[:, 0]
            reads_own = ops.logical_and(coin < ops.cast(self.sampling, coin.dtype), first < 0.5)
            a, states, _ = self.advance(ops.where(reads_own[:, None], mine, x), states, memory)
            return [*states, self.score(a)], [*states, self.score(self.drop_out(a, training=True))]

        x_dtype = x.dtype
        # one array for all that a turn reads: Keras' scan on TensorFlow takes no more where steps are free
        _, stacked = ops.scan(turn, [*states, own], ops.concatenate([by_time, chance, first], axis=-1))
        return ops.transpose(stacked[-1], (1, 0, 2))

    # ------------------------------------------------------------------ as a Keras layer

    def get_build_config(self):
        """None: the shapes of what an encoder returns are known once there is one."""

    def compute_output_shape(self, tokens_shape, encoded_shape):
        return (*tokens_shape, self.vocabulary_size)

    def get_config(self):
        sizes = ("vocabulary_size", "embedding_dim", "attention_size")
        ways = ("input_feeding", "condition", "dropout", "token_dropout", "scheduled_sampling", "seed")
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in (*sizes, *ways)},
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
    """Layers that come from a file are built already."""
    if not layer.built:
        layer.build(*shapes)
        layer.built = True


def as_layer(layer):
    """A recurrent layer that returns all it has, from a layer or a cell."""
    if isinstance(layer, keras.layers.RNN):
        ask(layer, return_sequences=True, return_state=True)
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


def check_turns(layers) -> None:
    for layer in layers:
        if getattr(layer.cell, "dropout", 0) or getattr(layer.cell, "recurrent_dropout", 0):
            raise ValueError(
                f"With input feeding or scheduled sampling a decoder goes step by step, and dropout inside of its "
                f"layers is not drawn. Received: {layer.name!r} with dropout. Use Decoder(dropout=...)."
            )

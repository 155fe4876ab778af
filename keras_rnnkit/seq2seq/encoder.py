"""Encoders: they read a source, a sequence of tokens or features, or an image."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
from keras import ops

from keras_rnnkit.cells.arguments import positive_integer, rate
from keras_rnnkit.layers.stack import Stack


class Encoded(NamedTuple):
    """The output of an encoder.

    values: [B, S, E], a vector for each step; valid: [B, S], 1.0 at steps and 0.0 at padding; states: the last states,
    each [B, size], which side by side are the fixed vector of the source.
    """

    values: Any
    valid: Any
    states: tuple[Any, ...]


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class Encoder(keras.layers.Layer):
    """Reads a source, token by token or vector by vector.

        m_1 ... m_S, h = layers(E x_1 ... E x_S)

    Arguments:
        layers: one recurrent layer, or a list from the bottom up: rk.GRU(64), rk.Bidirectional(rk.LSTM(64)), ...
        vocabulary_size: number of tokens, for sources of tokens [B, S], where 0 is padding. Without it a source is
            features [B, S, D], with a mask if they have one.
        embedding_dim: width of the embedding of a token; only with vocabulary_size.
        dropout: rate of dropout on the input of each layer.

    Shapes: source [B, S] or [B, S, D]; the output is an `Encoded`.

    >>> import numpy as np, keras_rnnkit as rk
    >>> encoded = rk.Encoder(rk.Bidirectional(rk.GRU(8)), vocabulary_size=10, embedding_dim=4)(np.array([[4, 5, 0]]))
    >>> encoded.values.shape, np.asarray(encoded.valid).tolist(), [state.shape[-1] for state in encoded.states]
    (TensorShape([1, 3, 16]), [[1.0, 1.0, 0.0]], [8, 8])
    """

    def __init__(self, layers, vocabulary_size=None, embedding_dim=None, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        if (vocabulary_size is None) != (embedding_dim is None):
            raise ValueError(
                "Encoder needs both vocabulary_size and embedding_dim for tokens, and neither for features. Received: "
                f"vocabulary_size={vocabulary_size}, embedding_dim={embedding_dim}."
            )
        self.dropout = rate("dropout", dropout, self)
        self.vocabulary_size, self.embedding_dim = vocabulary_size, embedding_dim
        self.stack = Stack(layers, dropout=self.dropout, return_sequences=True, return_state=True, name="layers")
        self.input_dropout = keras.layers.Dropout(self.dropout)
        self.embedding = None
        if vocabulary_size is not None:
            positive_integer("vocabulary_size", vocabulary_size, self)
            positive_integer("embedding_dim", embedding_dim, self)
            self.embedding = keras.layers.Embedding(vocabulary_size, embedding_dim, name="embedding")
        self.supports_masking = True

    def build(self, source_shape):
        shape = tuple(source_shape)
        if self.embedding is not None:
            self.embedding.build(shape)
            shape = (*shape[:2], self.embedding_dim)
        self.stack.build(shape)
        self.stack.built = True

    def call(self, source, mask=None, training=False):
        x = source
        if self.embedding is not None:
            mask = ops.not_equal(source, 0)
            x = self.embedding(source)
        values, *states = self.stack(self.input_dropout(x, training=training), mask=mask, training=training)
        valid = ops.ones_like(values[..., 0]) if mask is None else ops.cast(mask, values.dtype)
        return Encoded(values, valid, tuple(states))

    def compute_mask(self, source, mask=None):
        return None  # `valid` holds the mask

    def get_config(self):
        return {
            **super().get_config(),
            "layers": [keras.saving.serialize_keras_object(layer) for layer in self.stack.layers],
            "vocabulary_size": self.vocabulary_size,
            "embedding_dim": self.embedding_dim,
            "dropout": self.dropout,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        layers = [keras.saving.deserialize_keras_object(c, custom_objects=custom_objects) for c in config["layers"]]
        return cls(**{**config, "layers": layers})


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class ImageEncoder(keras.layers.Layer):
    """Reads an image with a network that gives features in a grid [B, H, W, C].

        m_1 ... m_HW = the vectors of the grid, row by row, each with a learned vector of its position added
        v = their mean, or all of them side by side

    The learned vectors let attention tell positions apart. v takes the place of the last states of `Encoder`.

    Arguments:
        network: a Keras model, such as one of `keras.applications` with include_top=False.
        vector: "mean" or "all".

    Shapes: image [B, height, width, channels]; values [B, H * W, C]; v [B, C], or [B, H * W * C] with "all".

    >>> import numpy as np
    >>> network = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, strides=4)])
    >>> encoded = ImageEncoder(network)(np.ones((2, 8, 8, 3), "float32"))
    >>> encoded.values.shape, encoded.states[0].shape
    (TensorShape([2, 4, 4]), TensorShape([2, 4]))
    """

    def __init__(self, network, vector: str = "mean", **kwargs):
        super().__init__(**kwargs)
        if vector not in ("mean", "all"):
            raise ValueError(f"ImageEncoder: `vector` must be 'mean' or 'all'. Received: vector={vector!r}.")
        if not isinstance(network, keras.layers.Layer):
            raise ValueError(
                "ImageEncoder takes a Keras model, such as one of keras.applications with include_top=False. "
                f"Received: {network!r}."
            )
        self.network, self.vector = network, vector

    def build(self, image_shape):
        if not self.network.built:
            self.network.build(image_shape)
        shape = self.network.compute_output_shape((None, *image_shape[1:]))
        if len(shape) != 4:
            raise ValueError(
                f"ImageEncoder takes a network whose output is a grid of features [B, H, W, C]. Received: an output of "
                f"shape {tuple(shape)}. Leave out its last layers, in keras.applications with include_top=False."
            )
        self.grid = tuple(shape[1:3])
        self.positions = self.add_weight(name="positions", shape=(shape[1] * shape[2], shape[3]), initializer="zeros")

    def call(self, image, training=False):
        grid = self.network(ops.cast(image, self.compute_dtype), training=training)
        count, width = grid.shape[1] * grid.shape[2], grid.shape[3]
        values = ops.reshape(grid, (-1, count, width)) + ops.cast(self.positions, grid.dtype)
        v = ops.mean(values, axis=1) if self.vector == "mean" else ops.reshape(values, (-1, count * width))
        return Encoded(values, ops.ones_like(values[..., 0]), (v,))

    def get_config(self):
        network = keras.saving.serialize_keras_object(self.network)
        return {**super().get_config(), "network": network, "vector": self.vector}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        network = keras.saving.deserialize_keras_object(config["network"], custom_objects=custom_objects)
        return cls(**{**config, "network": network})

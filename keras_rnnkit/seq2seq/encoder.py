"""What reads a source: a sequence of tokens or features, or an image."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
from keras import ops

from keras_rnnkit.cells.base import positive_integer, rate
from keras_rnnkit.layers.stack import Stack


class Encoded(NamedTuple):
    """A source that was read. values: [B, S, E], a vector a step; valid: [B, S], 1.0 where there is a step.

    states: what remains at the end, each [B, size]; side by side they are the fixed vector of the source.
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
        vocabulary_size, embedding_dim: of tokens [B, S], of which 0 is padding; without them a source is features
            [B, S, D], with the mask that comes with them.
        dropout: of what goes into each layer.

    >>> import numpy as np, keras_rnnkit as rk
    >>> encoded = rk.Encoder(rk.Bidirectional(rk.GRU(8)), vocabulary_size=10, embedding_dim=4)(np.array([[4, 5, 0]]))
    >>> encoded.values.shape, np.asarray(encoded.valid).tolist(), [state.shape[-1] for state in encoded.states]
    (TensorShape([1, 3, 16]), [[1.0, 1.0, 0.0]], [8, 8])
    """

    def __init__(self, layers, vocabulary_size=None, embedding_dim=None, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        if (vocabulary_size is None) != (embedding_dim is None):
            raise ValueError(
                "Tokens take both vocabulary_size and embedding_dim, features neither. Received: "
                f"vocabulary_size={vocabulary_size}, embedding_dim={embedding_dim}."
            )
        self.dropout = rate("dropout", dropout, self)
        self.vocabulary_size, self.embedding_dim = vocabulary_size, embedding_dim
        self.stack = Stack(layers, dropout=self.dropout, return_sequences=True, return_state=True, name="layers")
        self.drop = keras.layers.Dropout(self.dropout)
        self.embedding = None
        if vocabulary_size is not None:
            positive_integer("vocabulary_size", vocabulary_size, self)
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
        values, *states = self.stack(self.drop(x, training=training), mask=mask, training=training)
        valid = ops.ones_like(values[..., 0]) if mask is None else ops.cast(mask, values.dtype)
        return Encoded(values, valid, tuple(states))

    def compute_mask(self, source, mask=None):
        return None

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

        m_1 ... m_HW = the cells of the grid, row by row, each with a learned vector of its place added
        v = their mean, or all of them side by side

    Arguments:
        network: a Keras model, such as one of `keras.applications` with include_top=False.
        vector: "mean" or "all".

    >>> import numpy as np
    >>> network = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, strides=4)])
    >>> encoded = ImageEncoder(network)(np.ones((2, 8, 8, 3), "float32"))
    >>> encoded.values.shape, encoded.states[0].shape
    (TensorShape([2, 4, 4]), TensorShape([2, 4]))
    """

    def __init__(self, network, vector: str = "mean", **kwargs):
        super().__init__(**kwargs)
        if vector not in ("mean", "all"):
            raise ValueError(f"Received: vector={vector!r}. Expected 'mean' or 'all'.")
        self.network, self.vector = network, vector

    def build(self, image_shape):
        if not self.network.built:
            self.network.build(image_shape)
        shape = self.network.compute_output_shape((None, *image_shape[1:]))
        if len(shape) != 4:
            raise ValueError(
                f"ImageEncoder takes a network that gives features in a grid [B, H, W, C]. Received: one that gives "
                f"{tuple(shape)}. Cut it before its last layers; of keras.applications with include_top=False."
            )
        self.grid = tuple(shape[1:3])
        self.places = self.add_weight(name="places", shape=(shape[1] * shape[2], shape[3]), initializer="zeros")

    def call(self, image, training=False):
        grid = self.network(ops.cast(image, self.compute_dtype), training=training)
        cells, width = grid.shape[1] * grid.shape[2], grid.shape[3]
        values = ops.reshape(grid, (-1, cells, width)) + ops.cast(self.places, grid.dtype)
        v = ops.mean(values, axis=1) if self.vector == "mean" else ops.reshape(values, (-1, cells * width))
        return Encoded(values, ops.ones_like(values[..., 0]), (v,))

    def get_config(self):
        network = keras.saving.serialize_keras_object(self.network)
        return {**super().get_config(), "network": network, "vector": self.vector}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        network = keras.saving.deserialize_keras_object(config["network"], custom_objects=custom_objects)
        return cls(**{**config, "network": network})

"""Where a decoder looks while it writes: additive, dot and general attention."""

from __future__ import annotations

import keras

from keras_rnnkit.cells.base import Weights, positive_integer
from keras_rnnkit.ops import keras as kops


class Attention(keras.layers.Layer):
    """A mean of what was read, weighted by how well each step fits the query.

        k_s = remember(m_s)                            once for a source
        e_ts = score(q_t, k_s)
        a_ts = exp(e_ts) / sum_s' exp(e_ts')           over the valid steps of the source
        c_t = sum_s a_ts m_s

    Shapes: query q [B, T, U], values m [B, S, E], valid [B, S]; returns context c [B, T, E] and weights a [B, T, S].
    A source without a valid step gives zeros for both. `remember` and `score` are written over `ops`, as cells are.

    >>> import numpy as np, keras_rnnkit as rk
    >>> query, values = np.ones((2, 3, 8), "float32"), np.ones((2, 5, 8), "float32")
    >>> context, weights = rk.attention.Dot()(query, values, valid=np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]]))
    >>> context.shape, np.asarray(weights)[1, 0].tolist()
    (TensorShape([2, 3, 8]), [0.5, 0.5, 0.0, 0.0, 0.0])
    """

    steps_axis = 1
    """Which axis of the keys is that of the source's steps."""

    def remember(self, ops, w, values):
        """The keys of a source, in the form that `score` takes. values: [B, S, E]."""
        raise NotImplementedError(f"{type(self).__name__} must define remember(self, ops, w, values)")

    def score(self, ops, w, query, keys):
        """How well each step fits, [B, T, S]."""
        raise NotImplementedError(f"{type(self).__name__} must define score(self, ops, w, query, keys)")

    def look(self, ops, w, query, values, keys, valid):
        """(context, weights)."""
        weights = softmax_over(ops, self.score(ops, w, query, keys), ops.expand_dims(valid, 1))
        return ops.matmul(weights, values), weights

    # ------------------------------------------------------------------ as a Keras layer

    @property
    def w(self) -> Weights:
        return Weights(self, keras.ops.convert_to_tensor)

    def keys(self, values):
        return self.remember(kops, self.w, values)

    def call(self, query, values, valid=None, keys=None):
        keys = self.keys(values) if keys is None else keys
        valid = keras.ops.ones_like(values[..., 0]) if valid is None else keras.ops.cast(valid, values.dtype)
        return self.look(kops, self.w, query, values, keys, valid)

    def compute_output_shape(self, query_shape, values_shape, valid_shape=None, keys_shape=None):
        return (*query_shape[:2], values_shape[-1]), (*query_shape[:2], values_shape[1])


def softmax_over(ops, scores, valid):
    """exp(scores) in proportion, over what is valid; zeros where nothing is."""
    seen = ops.where(valid > 0.5, scores, -3e4)  # 16 bits can hold it
    e = ops.exp(seen - ops.max(seen, axis=-1, keepdims=True)) * valid
    return e / ops.maximum(ops.sum(e, axis=-1, keepdims=True), 1e-6)


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class Dot(Attention):
    """score = q . m, for queries as wide as what was read.

    Paper: M.-T. Luong, Effective approaches to attention-based neural machine translation, 2015.

    Arguments:
        scaled: divide by the square root of the width (Vaswani 2017), which keeps wide products from deciding at once.
    """

    steps_axis = 2

    def __init__(self, scaled: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.scaled = scaled

    def build(self, query_shape, values_shape, valid_shape=None, keys_shape=None):
        if query_shape[-1] != values_shape[-1]:
            raise ValueError(
                f"Dot takes queries as wide as what was read. Received: queries of {query_shape[-1]}, values of "
                f"{values_shape[-1]}. Use General(), which learns a matrix between them, or make them equal."
            )

    def remember(self, ops, w, values):
        return ops.transpose(values, 0, 2, 1)

    def score(self, ops, w, query, keys):
        return ops.matmul(query * (query.shape[-1] ** -0.5 if self.scaled else 1.0), keys)

    def get_config(self):
        return {**super().get_config(), "scaled": self.scaled}


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class General(Attention):
    """score = q W m.

    Paper: M.-T. Luong, Effective approaches to attention-based neural machine translation, 2015. W m is computed once.

    Arguments:
        scaled: divide by the square root of the width of q.
    """

    steps_axis = 2

    def __init__(self, scaled: bool = False, kernel_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.scaled = scaled
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, query_shape, values_shape, valid_shape=None, keys_shape=None):
        self.kernel = self.add_weight(
            name="kernel", shape=(values_shape[-1], query_shape[-1]), initializer=self.kernel_initializer
        )

    def remember(self, ops, w, values):
        return ops.transpose(ops.matmul(values, w.kernel), 0, 2, 1)

    def score(self, ops, w, query, keys):
        return ops.matmul(query * (query.shape[-1] ** -0.5 if self.scaled else 1.0), keys)

    def get_config(self):
        initializer = keras.initializers.serialize(self.kernel_initializer)
        return {**super().get_config(), "scaled": self.scaled, "kernel_initializer": initializer}


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class Additive(Attention):
    """score = v . tanh(W_q q + W_m m).

    Paper: D. Bahdanau, Neural machine translation by jointly learning to align and translate, 2015, appendix A.1.2.
    W_m m is computed once.

    Arguments:
        units: width of the sum.
    """

    def __init__(self, units: int, kernel_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.units = positive_integer("units", units, self)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, query_shape, values_shape, valid_shape=None, keys_shape=None):
        shapes = {"query_kernel": query_shape[-1], "memory_kernel": values_shape[-1]}
        for name, width in shapes.items():
            weight = self.add_weight(name=name, shape=(width, self.units), initializer=self.kernel_initializer)
            setattr(self, name, weight)
        self.v = self.add_weight(name="v", shape=(self.units, 1), initializer=self.kernel_initializer)

    def remember(self, ops, w, values):
        return ops.matmul(values, w.memory_kernel)

    def score(self, ops, w, query, keys):
        both = ops.expand_dims(ops.matmul(query, w.query_kernel), 2) + ops.expand_dims(keys, 1)  # [B, T, S, units]
        return ops.squeeze(ops.matmul(ops.tanh(both), w.v), axis=3)

    def get_config(self):
        initializer = keras.initializers.serialize(self.kernel_initializer)
        return {**super().get_config(), "units": self.units, "kernel_initializer": initializer}

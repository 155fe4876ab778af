"""Attention of a decoder to its source: additive, dot and general."""

from __future__ import annotations

import keras

from keras_rnnkit.cells.arguments import another, keras_object, positive_integer
from keras_rnnkit.cells.base import Weights
from keras_rnnkit.ops import keras as kops

LARGEST_SCORE = 1e38
"""About a third of the largest number of float32."""


class Attention(keras.layers.Layer):
    """The mean of a source's values, weighted by how well each step of the source fits the query.

        k_s = remember(m_s)                            once for a source
        e_ts = score(q_t, k_s)
        a_ts = exp(e_ts) / sum_s' exp(e_ts')           over the valid steps of the source
        c_t = sum_s a_ts m_s

    Shapes: query q [B, T, U], values m [B, S, E], valid [B, S]; returns context c [B, T, E] and weights a [B, T, S].
    A source without a valid step gives zeros for both. A subclass writes `remember` and `score` over `ops`, as cells
    write their equations. The weights are computed in float32 at least.

    >>> import numpy as np, keras_rnnkit as rk
    >>> query, values = np.ones((2, 3, 8), "float32"), np.ones((2, 5, 8), "float32")
    >>> context, weights = rk.attention.Dot()(query, values, valid=np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]]))
    >>> context.shape, np.asarray(weights)[1, 0].tolist()
    (TensorShape([2, 3, 8]), [0.5, 0.5, 0.0, 0.0, 0.0])
    """

    steps_axis = 1
    """The axis of the keys that counts the steps of the source."""

    def remember(self, ops, w, values):
        """The keys of a source, in the form that `score` reads, computed once. values: [B, S, E]."""
        raise NotImplementedError(f"{type(self).__name__} must define remember(self, ops, w, values)")

    def score(self, ops, w, query, keys):
        """The score of each step of the source for each query, [B, T, S]: the higher, the more attention."""
        raise NotImplementedError(f"{type(self).__name__} must define score(self, ops, w, query, keys)")

    def attend(self, ops, w, query, values, keys, valid):
        """(context, weights)."""
        weights = softmax_over(ops, self.score(ops, w, query, keys), ops.expand_dims(valid, 1))
        return ops.matmul(weights, values), weights

    # ------------------------------------------------------------------ as a Keras layer

    @property
    def w(self) -> Weights:
        return Weights(self, keras.ops.convert_to_tensor)

    def keys(self, values):
        """The `keys` argument of `call`, so that many calls on one source compute them once."""
        return self.remember(kops, self.w, values)

    def call(self, query, values, valid=None, keys=None):
        check_shapes(query.shape, values.shape, None if valid is None else keras.ops.shape(valid))
        keys = self.keys(values) if keys is None else keys
        valid = keras.ops.ones_like(values[..., 0]) if valid is None else keras.ops.cast(valid, values.dtype)
        return self.attend(kops, self.w, query, values, keys, valid)

    def compute_output_shape(self, query_shape, values_shape, valid_shape=None, keys_shape=None):
        return (*query_shape[:2], values_shape[-1]), (*query_shape[:2], values_shape[1])


def softmax_over(ops, scores, valid):
    """exp(scores) / sum(exp(scores)) over the valid steps; zeros in rows without one."""
    # A product that overflows in half precision is infinite, and the difference of two infinities is not a number.
    wide = ops.minimum(ops.maximum(ops.widen(scores), -LARGEST_SCORE), LARGEST_SCORE)
    valid = ops.cast(valid, wide)
    # Below every valid score, so that the maximum is that of the valid steps.
    wide = ops.where(valid > 0.5, wide, -2 * LARGEST_SCORE)
    e = ops.exp(wide - ops.max(wide, axis=-1, keepdims=True)) * valid
    # The best valid step alone adds one to the sum, so this changes only rows without a valid step, where it is zero.
    return ops.cast(e / ops.maximum(ops.sum(e, axis=-1, keepdims=True), 1.0), scores)


def check_shapes(query, values, valid) -> None:
    if len(query) != 3 or len(values) != 3:
        raise ValueError(
            "Attention takes queries [batch, target steps, width] and values [batch, source steps, width]. "
            f"Received: queries of shape {tuple(query)}, values of shape {tuple(values)}. "
            "Add a missing axis of steps with x[:, None]."
        )
    if valid is not None and not fits(valid, values[:2]):
        raise ValueError(
            f"Attention takes `valid` with one number for each step of the source, shape {tuple(values[:2])}. "
            f"Received: valid of shape {tuple(valid)}."
        )


def fits(shape, expected) -> bool:
    """Whether the shapes agree where both are known."""
    return len(shape) == len(expected) and all(
        not isinstance(a, int) or not isinstance(b, int) or a == b for a, b in zip(shape, expected, strict=True)
    )


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class Dot(Attention):
    """score = q . m, for queries as wide as the values.

    Paper: M.-T. Luong, Effective approaches to attention-based neural machine translation, 2015.

    Arguments:
        scaled: divide by the square root of the width (Vaswani 2017), so that the scores of wide vectors do not grow
            until one step takes all the weight.

    Shapes: q [B, T, U], m [B, S, U].
    """

    steps_axis = 2

    def __init__(self, scaled: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.scaled = scaled

    def build(self, query_shape, values_shape, valid_shape=None, keys_shape=None):
        if query_shape[-1] != values_shape[-1]:
            raise ValueError(
                f"Dot takes queries as wide as the values. Received: queries of {query_shape[-1]}, values of "
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
        kernel_initializer: initial values of W.

    Shapes: q [B, T, U], m [B, S, E], W [E, U].
    """

    steps_axis = 2

    def __init__(self, scaled: bool = False, kernel_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.scaled = scaled
        self.kernel_initializer = keras_object("kernel_initializer", kernel_initializer, self)

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
        kernel_initializer: initial values of all three matrices, each with numbers of its own.

    Shapes: q [B, T, U], m [B, S, E], W_q [U, units], W_m [E, units], v [units, 1].
    """

    def __init__(self, units: int, kernel_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.units = positive_integer("units", units, self)
        self.kernel_initializer = keras_object("kernel_initializer", kernel_initializer, self)

    def build(self, query_shape, values_shape, valid_shape=None, keys_shape=None):
        shapes = {"query_kernel": query_shape[-1], "memory_kernel": values_shape[-1]}
        for name, width in shapes.items():
            start = another(self.kernel_initializer)
            setattr(self, name, self.add_weight(name=name, shape=(width, self.units), initializer=start))
        self.v = self.add_weight(name="v", shape=(self.units, 1), initializer=another(self.kernel_initializer))

    def remember(self, ops, w, values):
        return ops.matmul(values, w.memory_kernel)

    def score(self, ops, w, query, keys):
        both = ops.expand_dims(ops.matmul(query, w.query_kernel), 2) + ops.expand_dims(keys, 1)  # [B, T, S, units]
        return ops.squeeze(ops.matmul(ops.tanh(both), w.v), axis=3)

    def get_config(self):
        initializer = keras.initializers.serialize(self.kernel_initializer)
        return {**super().get_config(), "units": self.units, "kernel_initializer": initializer}

"""The vocabulary read by `keras.ops`, for training on any backend of Keras."""

from __future__ import annotations

import math
from collections.abc import Callable

from keras import activations as _activations
from keras import backend as _backend
from keras import ops as _k

matmul = _k.matmul
reshape = _k.reshape
expand_dims = _k.expand_dims
squeeze = _k.squeeze
zeros_like = _k.zeros_like
tanh = _k.tanh
sigmoid = _k.sigmoid
exp = _k.exp
log = _k.log
sqrt = _k.sqrt
sin = _k.sin
cos = _k.cos
erf = _k.erf
abs = _k.absolute
maximum = _k.maximum
minimum = _k.minimum
where = _k.where


def add_bias(x, bias):
    """x + bias, for a bias [U].

    TensorFlow sums the gradient of a bias on one core, which takes as long as a tenth of a matrix product of the same
    size. A product with ones runs on all cores, and is as exact.
    """
    if _backend.backend() != "tensorflow":
        return x + bias
    return _add_bias(x, _k.copy(bias))  # a custom gradient takes tensors, not variables


@_k.custom_gradient
def _add_bias(x, bias):
    def gradient(*d, upstream=None):
        d_x = d[0] if upstream is None else upstream
        rows = _k.reshape(d_x, (-1, d_x.shape[-1]))
        return d_x, _k.matmul(_k.ones((1, _k.shape(rows)[0]), dtype=rows.dtype), rows)[0]

    return x + bias, gradient


def concatenate(arrays, axis=-1):
    return _k.concatenate(arrays, axis=axis)


def split(x, parts, axis=-1):
    return _k.split(x, parts, axis=axis)


def unflatten(x, sizes):
    return _k.reshape(x, (*_k.shape(x)[:-1], *sizes))


def flatten(x, axes):
    return _k.reshape(x, (*_k.shape(x)[: len(x.shape) - axes], math.prod(x.shape[len(x.shape) - axes :])))


def transpose(x, *order):
    return _k.transpose(x, order)


def take(x, indices, axis=0):
    return _k.take(x, indices, axis=axis)


def take_along_axis(x, indices, axis=-1):
    return _k.take_along_axis(x, indices, axis=axis)


def one_hot(indices, depth, like):
    return _k.one_hot(indices, depth, dtype=like.dtype)


def cast(x, like):
    like = _k.convert_to_tensor(like)  # the dtype that the backend gives it: JAX has no int64 by default
    return _k.cast(x, like.dtype)


def widen(x):
    return _k.cast(x, _backend.result_type(x.dtype, "float32"))


def activation(function: Callable | str, x):
    return _activations.get(function)(x)


def sum(x, axis=-1, keepdims=False):
    return _k.sum(x, axis=axis, keepdims=keepdims)


def mean(x, axis=-1, keepdims=False):
    return _k.mean(x, axis=axis, keepdims=keepdims)


def max(x, axis=-1, keepdims=False):
    # Without a first value, Keras refuses the arrays of a batch without rows.
    return _k.max(x, axis=axis, keepdims=keepdims, initial=-math.inf if 0 in x.shape else None)


def argmax(x, axis=-1):
    return _k.argmax(x, axis=axis)


def cumsum(x, axis=-1):
    return _k.cumsum(x, axis=axis)


def top_k(x, k):
    return _k.top_k(x, k)

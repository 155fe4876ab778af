"""The vocabulary read by NumPy: the plain reference, and the helper of the runtime. Imports nothing else."""

from __future__ import annotations

import sys
from math import erf as _erf

import numpy as np

from keras_rnnkit.ops import activations

matmul = np.matmul
reshape = np.reshape
expand_dims = np.expand_dims
squeeze = np.squeeze
zeros_like = np.zeros_like
tanh = np.tanh
exp = np.exp
log = np.log
sqrt = np.sqrt
sin = np.sin
cos = np.cos
abs = np.abs
maximum = np.maximum
minimum = np.minimum
where = np.where


def sigmoid(x):
    x = np.asarray(x)
    positive = 1 / (1 + np.exp(-np.abs(x)))  # never overflows
    return np.where(x >= 0, positive, 1 - positive).astype(x.dtype)


def erf(x):
    return np.vectorize(_erf, otypes=[x.dtype])(x)


def add_bias(x, bias):
    return x + bias


def concatenate(arrays, axis=-1):
    return np.concatenate(arrays, axis=axis)


def split(x, parts, axis=-1):
    return np.split(x, parts, axis=axis)


def unflatten(x, sizes):
    return np.reshape(x, (*x.shape[:-1], *sizes))


def flatten(x, axes):
    first = x.ndim - axes
    return np.reshape(x, (*x.shape[:first], int(np.prod(x.shape[first:]))))


def take(x, indices, axis=0):
    return np.take(x, indices, axis=axis)


def transpose(x, *order):
    return np.transpose(x, order)


def take_along_axis(x, indices, axis=-1):
    return np.take_along_axis(x, indices, axis=axis)


def one_hot(indices, depth, like):
    return np.eye(depth, dtype=like.dtype)[indices]


def cast(x, like):
    return np.asarray(x).astype(like.dtype)


def widen(x):
    return np.asarray(x).astype(np.result_type(x.dtype, np.float32))


def activation(function, x):
    return activations.equation(function)(sys.modules[__name__], x)


def sum(x, axis=-1, keepdims=False):
    return np.sum(x, axis=axis, keepdims=keepdims)


def mean(x, axis=-1, keepdims=False):
    return np.mean(x, axis=axis, keepdims=keepdims)


def max(x, axis=-1, keepdims=False):
    return np.max(x, axis=axis, keepdims=keepdims)


def argmax(x, axis=-1):
    return np.argmax(x, axis=axis)


def cumsum(x, axis=-1):
    return np.cumsum(x, axis=axis)


def top_k(x, k):
    """The k largest along the last axis, largest first; of equal values the first one first, as in Keras and ONNX."""
    indices = np.argsort(-x, axis=-1, kind="stable")[..., :k]
    return np.take_along_axis(x, indices, axis=-1), indices

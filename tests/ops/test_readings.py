"""The keras and NumPy readings of the vocabulary say the same."""

import inspect

import keras
import numpy as np
import pytest

from keras_rnnkit.ops import activations
from keras_rnnkit.ops import keras as kops
from keras_rnnkit.ops import numpy as nops
from keras_rnnkit.ops.protocol import Ops

X = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
Y = np.random.default_rng(1).normal(size=(4, 4)).astype("float32")
IDS = np.array([2, 0, 3])

CALLS = {
    "matmul": lambda ops: ops.matmul(X, Y),
    "add_bias": lambda ops: ops.add_bias(X, Y[0]),
    "concatenate": lambda ops: ops.concatenate([X, X + 1]),
    "split": lambda ops: ops.split(X, 2),
    "reshape": lambda ops: ops.reshape(X, (2, 6)),
    "unflatten": lambda ops: ops.unflatten(X, (2, 2)),
    "flatten": lambda ops: ops.flatten(X[:, None], 2),
    "expand_dims": lambda ops: ops.expand_dims(X, 1),
    "squeeze": lambda ops: ops.squeeze(X[:, :1], 1),
    "take": lambda ops: ops.take(Y, IDS),
    "take_along_axis": lambda ops: ops.take_along_axis(X, IDS[:, None]),
    "transpose": lambda ops: ops.transpose(X[:, None], 1, 2, 0),
    "one_hot": lambda ops: ops.one_hot(IDS, 4, like=X),
    "zeros_like": lambda ops: ops.zeros_like(X),
    "tanh": lambda ops: ops.tanh(X),
    "sigmoid": lambda ops: ops.sigmoid(100 * X),
    "exp": lambda ops: ops.exp(X),
    "log": lambda ops: ops.log(X * X + 1),
    "sqrt": lambda ops: ops.sqrt(X * X + 1),
    "sin": lambda ops: ops.sin(X),
    "cos": lambda ops: ops.cos(X),
    "erf": lambda ops: ops.erf(X),
    "abs": lambda ops: ops.abs(X),
    "maximum": lambda ops: ops.maximum(X, 0.1),
    "minimum": lambda ops: ops.minimum(X, 0.1),
    "where": lambda ops: ops.where(X > 0, X, ops.zeros_like(X)),
    "cast": lambda ops: ops.cast(IDS, X),
    "widen": lambda ops: ops.widen(ops.cast(X, np.float16(0))),
    "activation": lambda ops: ops.activation(keras.activations.silu, X),
    "sum": lambda ops: ops.sum(X, keepdims=True),
    "mean": lambda ops: ops.mean(X, axis=0),
    "max": lambda ops: ops.max(X),
    "argmax": lambda ops: ops.argmax(X),
    "cumsum": lambda ops: ops.cumsum(X),
    "top_k": lambda ops: ops.top_k(X, 2),
}

# Where an argument is left out or negative, on three axes: on two the last one is also the second.
LAST_AXIS = {
    "sum": lambda ops: ops.sum(X[:, None]),
    "mean": lambda ops: ops.mean(X[:, None]),
    "max": lambda ops: ops.max(X[:, None]),
    "argmax": lambda ops: ops.argmax(X[:, None]),
    "cumsum": lambda ops: ops.cumsum(X[:, None]),
    "concatenate": lambda ops: ops.concatenate([X[:, None], X[:, None] + 1]),
    "split": lambda ops: ops.split(X[:, None], 2),
    "take_along_axis": lambda ops: ops.take_along_axis(X[:, None], IDS[:, None, None]),
    "top_k": lambda ops: ops.top_k(X[:, None], 2),
    "expand_dims": lambda ops: ops.expand_dims(X, -1),
    "squeeze": lambda ops: ops.squeeze(X[..., None], -1),
}
CALLS_BY_NAME = CALLS | {f"{name}, last axis": call for name, call in LAST_AXIS.items()}


def leaves(value):
    return list(value) if isinstance(value, list | tuple) else [value]


def test_every_function_of_the_vocabulary_is_compared():
    functions = {name for name, member in vars(Ops).items() if inspect.isfunction(member) and name[0] != "_"}
    assert functions - {"__init__"} == set(CALLS)


@pytest.mark.parametrize("name", CALLS_BY_NAME)
def test_readings_agree(name):
    ours, theirs = leaves(CALLS_BY_NAME[name](nops)), leaves(CALLS_BY_NAME[name](kops))
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        b = keras.ops.convert_to_numpy(b)
        assert np.shape(a) == b.shape
        np.testing.assert_allclose(a, b, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", activations.EQUATIONS)
def test_activations_are_those_of_keras(name):
    function = keras.activations.get(name)
    x = np.linspace(-7, 7, 57, dtype="float32").reshape(3, 19)
    ours = nops.activation(function, x)
    np.testing.assert_allclose(ours, keras.ops.convert_to_numpy(function(x)), atol=2e-6, rtol=1e-5)
    assert ours.dtype == np.float32


def test_an_unknown_activation_is_named():
    with pytest.raises(ValueError, match=r"'swoosh' has no equation outside Keras. Known are linear, tanh"):
        activations.equation("swoosh")


def test_of_equal_values_the_first_is_taken():
    assert nops.top_k(np.array([1.0, 3.0, 3.0, 2.0]), 3)[1].tolist() == [1, 2, 3]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the bias has a gradient of its own in TensorFlow")
@pytest.mark.parametrize("dtype, error", [("float32", 1e-5), ("float16", 1e-2), ("bfloat16", 2e-2)])
def test_the_gradient_of_a_bias_is_summed_in_full_precision(dtype, error):
    """In bfloat16 TensorFlow's own BiasAddGrad is a fifth off after 4,096 rows: it stops counting at 256."""
    import tensorflow as tf

    x, bias = tf.ones((64, 64, 3), dtype), tf.Variable(tf.zeros(3, dtype))
    with tf.GradientTape() as outer:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.cast(kops.add_bias(x, bias), "float32") ** 2)
        gradient = tape.gradient(loss, bias)
    np.testing.assert_allclose(tf.cast(gradient, "float32"), 2 * 64 * 64, rtol=error)
    np.testing.assert_allclose(tf.cast(outer.gradient(gradient, bias), "float32"), 2 * 64 * 64, rtol=error)

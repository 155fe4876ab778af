"""The loss of the next token, by its equation in plain NumPy."""

import inspect

import keras
import numpy as np
import pytest

import keras_rnnkit as rk
from keras_rnnkit.training.losses import by_definition, by_tensorflow

LOGITS = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32") * 3
TARGETS = np.array([[1, 0, 3], [2, 2, 0]], "int32")


def nats(logits, targets):
    p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    return -np.log(np.take_along_axis(p, targets[..., None], axis=-1)[..., 0])


@pytest.mark.parametrize("function", [by_definition, by_tensorflow])
def test_nats_of_each_target(function):
    if function is by_tensorflow and keras.backend.backend() != "tensorflow":
        pytest.skip("TensorFlow's")
    found = function(keras.ops.convert_to_tensor(LOGITS), keras.ops.convert_to_tensor(TARGETS))
    np.testing.assert_allclose(found, nats(LOGITS, TARGETS), rtol=1e-5)


@pytest.mark.parametrize("ignore", [None, 0])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_ignored_targets_and_smoothing(ignore, smoothing):
    loss = rk.training.NextToken(ignore=ignore, smoothing=smoothing, reduction=None)
    every_token = np.mean([nats(LOGITS, np.full_like(TARGETS, token)) for token in range(4)], axis=0)
    expected = (1 - smoothing) * nats(LOGITS, TARGETS) + smoothing * every_token
    expected = np.where(ignore == TARGETS, 0.0, expected) if ignore is not None else expected
    np.testing.assert_allclose(loss.call(TARGETS, LOGITS), expected, rtol=1e-5, atol=1e-6)


def test_a_checkpoint_counts_from_the_first_epoch():
    assert inspect.signature(rk.training.Checkpoint).parameters["start"].default == 0

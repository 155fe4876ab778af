"""Padding counts neither in the loss nor in the metrics."""

import itertools

import keras
import numpy as np
import pytest

from keras_rnnkit import training
from tests.covering import studied

L = keras.layers


def padded(rng, length=6):
    """Targets [3, T], 0 where a row is over, and logits that predict them well."""
    y = rng.integers(1, 5, size=(3, length))
    y[0, 2:], y[1, 5:] = 0, 0
    return y, (3.0 * np.eye(5)[y] * (y > 0)[..., None] + rng.normal(size=(3, length, 5))).astype("float32")


@pytest.mark.parametrize("masked", [False, True])
def test_perplexity_leaves_out_what_the_loss_ignores(masked, rng):
    y, logits = padded(rng)
    logits = keras.ops.convert_to_tensor(logits)
    if masked:  # a mask that leaves out more than the padding
        logits._keras_mask = keras.ops.convert_to_tensor(rng.random(y.shape) < 0.6)
    loss = float(training.NextToken(ignore=0)(y, logits))
    perplexity, bits = training.Perplexity(ignore=0), training.BitsPerCharacter(ignore=0)
    for metric in (perplexity, bits):
        metric.update_state(y, logits)
    assert float(perplexity.result()) == pytest.approx(np.exp(loss), rel=1e-5)
    assert float(bits.result()) == pytest.approx(loss / np.log(2), rel=1e-5)
    again = keras.metrics.deserialize(keras.metrics.serialize(perplexity))
    assert (again.ignore, again.from_logits) == (0, True)


def test_an_ignored_target_need_not_be_a_token(rng):
    y, logits = padded(rng)
    metric, other = training.CrossEntropy(ignore=-1), training.CrossEntropy(ignore=0)
    metric.update_state(np.where(y > 0, y, -1), logits)
    other.update_state(y, logits)
    assert float(metric.result()) == float(other.result())


@studied(
    "policy, jit",
    itertools.product(["float32", "bfloat16"], [False, True]),
    [("float32", True), ("bfloat16", False)],
)
def test_the_metrics_of_a_model_leave_out_what_its_loss_ignores(policy, jit, rng):
    """Metrics that were told nothing, one of Keras among them, in training and in validation."""
    if keras.backend.backend() == "jax":
        pytest.skip("JAX hands a copy of the predictions to the metrics, which have an argument for it.")
    y, _ = padded(rng)
    model = keras.Sequential([keras.Input((6,), dtype="int32"), L.Embedding(5, 5, dtype=policy)])
    metrics = [training.Perplexity(), "sparse_categorical_accuracy"]
    model.compile(keras.optimizers.SGD(0.0), training.NextToken(ignore=0), metrics=metrics, jit_compile=jit)
    logs = model.fit(y, y, validation_data=(y, y), verbose=0).history
    assert logs["perplexity"] == pytest.approx(np.exp(logs["loss"]), rel=1e-5)
    assert logs["val_perplexity"] == pytest.approx(np.exp(logs["val_loss"]), rel=1e-5)
    found = model.predict(y, verbose=0).argmax(-1)
    assert logs["val_sparse_categorical_accuracy"] == [pytest.approx(np.mean((found == y)[y > 0]))]

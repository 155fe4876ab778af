"""The search for a learning rate."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_rnnkit as rk

X = np.random.default_rng(0).integers(1, 5, size=(40, 6)).astype("int32")


def model_of(optimizer, stateful=False):
    memory = rk.GRU(4, return_sequences=True, stateful=stateful)
    layers = [keras.layers.Embedding(5, 3), keras.layers.Dropout(0.3, seed=1), memory, keras.layers.Dense(5)]
    model = keras.Sequential([keras.Input((None,), batch_size=4, dtype="int32"), *layers])
    model.compile(optimizer, rk.training.NextToken())
    return model


def values_of(model):
    return [np.array(v) for v in (*model.variables, *model.optimizer.variables)]


@pytest.mark.parametrize("stateful", [False, True])
def test_the_loss_falls_and_explodes_and_the_model_is_as_before(stateful):
    model = model_of(rk.training.watched(keras.optimizers.SGD(0.1)), stateful)
    windows = rk.data.Windows(np.tile([1, 2, 3, 4], 60), batch=4, steps=6)
    before = values_of(model)
    curve = rk.training.find_rate(model, windows, 1e-3, 1e4, steps=120)
    assert curve.rates[0] == pytest.approx(1e-3) and len(curve.rates) == len(curve.losses) == len(curve.smoothed)
    assert curve.smoothed.min() < 0.8 * curve.losses[0] and curve.rates[0] < curve.lowest < curve.rates[-1]
    assert curve.suggestion == pytest.approx(curve.lowest / 10)
    assert all(np.array_equal(*pair) for pair in zip(before, values_of(model)[: len(before)], strict=True))


def test_a_dataset_and_a_picture(tmp_path):
    data = tf.data.Dataset.from_tensor_slices((X, X)).batch(4)
    curve = rk.training.find_rate(model_of("adam"), data, steps=30)
    assert len(curve.rates) == 30 and np.allclose(np.diff(np.log(curve.rates)), np.log(1e6) / 29)
    curve.plot(tmp_path / "rates.png")
    assert (tmp_path / "rates.png").read_bytes()[:4] == b"\x89PNG"


def test_what_cannot_be_searched():
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
    data = tf.data.Dataset.from_tensor_slices((X, X)).batch(4)
    with pytest.raises(ValueError, match="follows a schedule, and a search sets it from batch to batch"):
        rk.training.find_rate(model_of(keras.optimizers.SGD(schedule)), data)
    with pytest.raises(ValueError, match="above 0 and below the highest.*Received: lowest=1"):
        rk.training.find_rate(model_of("sgd"), data, lowest=1, highest=0.1)
    model = model_of("sgd")
    model.set_weights([np.full_like(weight, np.nan) for weight in model.get_weights()])
    with pytest.raises(ValueError, match="The loss of the first batch is not a number"):
        rk.training.find_rate(model, data)

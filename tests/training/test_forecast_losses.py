"""Losses of forecasts."""

import keras
import numpy as np
import pytest

import keras_rnnkit as rk


def test_the_gaussian_loss_is_that_of_the_density():
    y, mean, deviation = 0.3, -0.5, 0.7
    density = np.exp(-0.5 * ((y - mean) / deviation) ** 2) / (deviation * np.sqrt(2 * np.pi))
    loss = rk.training.GaussianNLL()([[[y]]], [[[[mean, deviation]]]])
    assert float(loss) == pytest.approx(-np.log(density), rel=1e-6)


def test_quantiles_minimise_the_pinball_loss():
    values = np.random.default_rng(0).exponential(size=4001)
    loss = rk.training.Pinball([0.2])
    grid = np.linspace(0.05, 0.6, 56)
    losses = [float(loss(values[None, :, None], np.full((1, 4001, 1, 1), q))) for q in grid]
    assert grid[np.argmin(losses)] == pytest.approx(np.quantile(values, 0.2), abs=0.011)


def test_missing_targets_count_neither_in_the_loss_nor_in_the_gradient():
    import tensorflow as tf

    y = np.array([[[1.0, np.nan], [np.nan, 2.0]]], np.float32)
    for loss, width in ((rk.training.GaussianNLL(), 2), (rk.training.Pinball([0.1, 0.5, 0.9]), 3)):
        prediction = tf.Variable(np.full((1, 2, 2, width), 0.5, np.float32))
        with tf.GradientTape() as tape:
            value = loss(y, prediction)
        gradient = tape.gradient(value, prediction).numpy()[0]
        there = np.isfinite(y[0])
        assert np.isfinite(value) and np.isfinite(gradient).all()
        assert (gradient[~there] == 0).all() and (gradient[there] != 0).any()
        alone = loss(y[:, :1, :1], prediction[:, :1, :1]) + loss(y[:, 1:, 1:], prediction[:, 1:, 1:])
        assert float(value) == pytest.approx(float(alone) / 2, rel=1e-5)


def test_weights_of_the_steps_ahead():
    y = np.array([[[1.0, 5.0]]])
    prediction = np.array([[[[0.0], [0.0]]]])
    assert float(rk.training.Pinball([0.5], weights=[3, 1])(y, prediction)) == pytest.approx((3 * 0.5 + 2.5) / 4)


@pytest.mark.parametrize("loss", [rk.training.GaussianNLL([1, 2]), rk.training.Pinball([0.1, 0.9], [1, 2])])
def test_a_loss_comes_back_from_its_config(loss):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert again.get_config() == loss.get_config()


def test_levels_outside_of_0_and_1():
    with pytest.raises(ValueError, match="between 0 and 1. Received: levels=\\[0.5, 1.0\\]"):
        rk.training.Pinball([0.5, 1])

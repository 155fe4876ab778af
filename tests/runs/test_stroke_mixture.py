"""The mixture-density head: the loss is the density of its definition, and drawing follows the same density."""

import numpy as np
import pytest

from keras_rnnkit.data.strokes import strokes
from keras_rnnkit.runs.stroke_mixture import StrokeMixture, drawn_point, nats_without_memory, width_of


def by_definition(point, pen, outputs):
    """-log p of one point, as the paper writes it."""
    pi, mu_x, mu_y, log_x, log_y, r = np.split(outputs[:-3], 6)
    pi, rho = np.exp(pi) / np.exp(pi).sum(), 0.99 * np.tanh(r)
    density = 0.0
    for m in range(len(pi)):
        covariance = rho[m] * np.exp(log_x[m] + log_y[m])
        sigma = np.array([[np.exp(2 * log_x[m]), covariance], [covariance, np.exp(2 * log_y[m])]])
        difference = point - np.array([mu_x[m], mu_y[m]])
        exponent = -0.5 * difference @ np.linalg.inv(sigma) @ difference
        density += pi[m] * np.exp(exponent) / (2 * np.pi * np.sqrt(np.linalg.det(sigma)))
    logits = outputs[-3:]
    return -np.log(density) - (logits[pen] - np.log(np.exp(logits).sum()))


def test_the_loss_is_the_density(rng):
    outputs = rng.normal(size=(2, 3, width_of(4))).astype("float32")
    targets = np.concatenate([rng.normal(size=(2, 3, 2)), rng.integers(0, 3, (2, 3, 1))], -1).astype("float32")
    expected = [
        by_definition(target[:2].astype(float), int(target[2]), output.astype(float))
        for target, output in zip(targets.reshape(6, 3), outputs.reshape(6, -1), strict=True)
    ]
    assert float(StrokeMixture()(targets, outputs)) == pytest.approx(np.mean(expected), rel=1e-4)


def test_padding_does_not_count(rng):
    outputs = rng.normal(size=(2, 3, width_of(2))).astype("float32")
    targets = np.concatenate([rng.normal(size=(2, 3, 2)), np.ones((2, 3, 1))], -1).astype("float32")
    whole = float(StrokeMixture()(targets[:, :2], outputs[:, :2]))
    targets[:, 2] = (9, 9, -1)
    assert float(StrokeMixture()(targets, outputs)) == pytest.approx(whole, rel=1e-5)


def test_points_are_drawn_from_the_density():
    row = np.array([0.0, np.log(3), -1, 1, 2, 3, -3, -3, -2, -2, 0, 1, 9, 0, 0], np.float32)  # two distributions
    moves, pens = drawn_point(np.repeat(row[None], 20000, 0), np.random.default_rng(0), temperature=1.0)
    second = moves[:, 0] > 0.4
    assert second.mean() == pytest.approx(0.75, abs=0.05) and (pens == 0).mean() > 0.99
    assert moves.mean(0) == pytest.approx([0.5, 2.75], abs=0.05)
    cool, _ = drawn_point(np.repeat(row[None], 2000, 0), np.random.default_rng(0), temperature=0.01)
    assert np.abs(cool - (1, 3)).max() < 0.8  # only the more likely one is left


def test_a_model_without_memory_knows_the_mean_of_each_point():
    train, test = strokes(300, 1), strokes(60, 2)
    nats = nats_without_memory(train[:2], test[:2])
    shuffled = test.moves[::-1], test.pens[::-1]
    assert np.isfinite(nats) and nats == pytest.approx(nats_without_memory(train[:2], shuffled))
    assert nats_without_memory(train[:2], (test.moves + 1.0, test.pens)) > nats + 1

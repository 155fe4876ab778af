"""Scores of classifiers, their calibration, and the effects of words."""

import numpy as np
import pytest

from keras_rnnkit.runs.classification import (
    calibration_error,
    confusion,
    reliability,
    scores_of,
    softmax,
    temperature_of,
)
from keras_rnnkit.runs.classification_pictures import plot_confusion, plot_reliability
from keras_rnnkit.runs.word_effects import plot_effects, word_effects


def test_the_scores_are_those_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics", reason="Needs scikit-learn: pip install 'keras-rnnkit[digits]'")
    truth, found = np.random.default_rng(0).integers(4, size=(2, 200))
    found[found == 3] = 2  # a class that is never found
    matrix = confusion(truth, found, 4)
    np.testing.assert_array_equal(matrix, metrics.confusion_matrix(truth, found))
    expected = metrics.precision_recall_fscore_support(truth, found, zero_division=0)
    for values, name in zip(expected, ("precision", "recall", "f1"), strict=False):
        np.testing.assert_allclose(scores_of(matrix)[name], values)


def test_the_temperature_of_logits_that_are_too_large_is_found():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, size=(20_000, 3))
    truth = np.array([rng.choice(3, p=p) for p in softmax(logits)])
    assert temperature_of(2.5 * logits, truth) == pytest.approx(2.5, rel=0.05)
    assert calibration_error(softmax(logits), truth) < 0.02 < 0.1 < calibration_error(softmax(2.5 * logits), truth)


def test_a_model_that_is_right_on_few_examples_does_not_become_sure():
    logits, truth = np.array([[5.0, 0.0], [0.0, 5.0]] * 10), np.array([0, 1] * 10)
    assert softmax(logits / temperature_of(logits, truth)).max() == pytest.approx(1 - 1 / 22, abs=1e-3)


def test_the_bins_have_every_example():
    rng = np.random.default_rng(0)
    p = softmax(rng.normal(0, 3, size=(500, 3)))
    p[0] = [1.0, 0.0, 0.0]
    assert sum(row["count"] for row in reliability(p, rng.integers(3, size=500))) == 500


def test_the_effect_of_a_word_is_what_its_absence_changes():
    def predict(texts):
        p = np.array([0.9 if 3 in text and 4 not in text else 0.2 for text in texts])
        return np.stack([1 - p, p], 1)

    effects = word_effects(predict, np.array([3, 5, 4]), 1)
    assert effects[1] == 0 and effects[2] < 0 and effects[0] == 0  # without 4 the answer would be surer
    assert word_effects(predict, np.array([3, 5]), 1)[0] > 0


def test_pictures_of_any_number_of_classes(tmp_path):
    names = ["$x^", "a label that is much too long for a picture", *map(str, range(28))]
    matrix = np.random.default_rng(0).integers(50, size=(30, 30))
    plot_confusion(matrix, names, tmp_path / "confusion.png")
    plot_confusion(matrix[:2, :2], names[:2], tmp_path / "two.png")
    plot_reliability([{"count": 3, "confidence": 0.3, "right": 0.0}], tmp_path / "reliability.png")
    plot_effects([("a $ title", ["$", "word"] * 30, np.zeros(60))], tmp_path / "words.png")
    assert all(path.stat().st_size > 5000 for path in tmp_path.iterdir())

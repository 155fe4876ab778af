"""How good a classifier is: confusion matrix, F1, and whether its probabilities are as often right as they say."""

from __future__ import annotations

from typing import Any

import numpy as np


def confusion(truth: np.ndarray, found: np.ndarray, count: int) -> np.ndarray:
    """How many examples of each class (rows) were taken for each class (columns) [C, C].

    >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    return np.bincount(np.asarray(truth) * count + np.asarray(found), minlength=count * count).reshape(count, count)


def scores_of(matrix: np.ndarray) -> dict[str, np.ndarray]:
    """Precision, recall and F1 of each class, from a confusion matrix; 0 where a class was never found.

        precision = right / found        recall = right / there        F1 = 2 right / (found + there)

    >>> scores_of(np.array([[1, 1], [0, 1]]))["f1"].round(3).tolist()
    [0.667, 0.667]
    """
    right, found, there = np.diag(matrix), matrix.sum(0), matrix.sum(1)
    return {
        "precision": right / np.maximum(found, 1),
        "recall": right / np.maximum(there, 1),
        "f1": 2 * right / np.maximum(found + there, 1),
    }


def accuracy(matrix: np.ndarray) -> float:
    """The share of examples on the diagonal of a confusion matrix."""
    return float(np.trace(matrix) / max(matrix.sum(), 1))


def reliability(probabilities: np.ndarray, truth: np.ndarray, bins: int = 10) -> list[dict[str, Any]]:
    """How often the found class is right, by how sure the model is: for each bin with examples its count and two means.

    Arguments:
        probabilities: of each class [N, C].
        truth: the class of each example [N].
        bins: bins of equal width between 0 and 1.

    >>> reliability(np.array([[0.95, 0.05], [0.97, 0.03]]), np.array([0, 1]))
    [{'count': 2, 'confidence': 0.96, 'right': 0.5}]
    """
    confidence, right = probabilities.max(1), probabilities.argmax(1) == truth
    places = np.minimum((confidence * bins).astype(int), bins - 1)
    return [
        {
            "count": int(inside.sum()),
            "confidence": float(confidence[inside].mean()),
            "right": float(right[inside].mean()),
        }
        for inside in (places == place for place in np.unique(places))
    ]


def calibration_error(probabilities: np.ndarray, truth: np.ndarray, bins: int = 10) -> float:
    """The expected calibration error: the mean distance of confidence and share of right answers, over the bins.

    Guo et al., On calibration of modern neural networks, 2017.

    >>> calibration_error(np.array([[0.75, 0.25]] * 4), np.array([0, 0, 0, 1]))
    0.0
    """
    rows = reliability(probabilities, truth, bins)
    total = sum(row["count"] for row in rows)
    return sum(row["count"] * abs(row["confidence"] - row["right"]) for row in rows) / max(total, 1)


def softmax(logits: np.ndarray) -> np.ndarray:
    """The probabilities of logits [N, C]."""
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def temperature_of(logits: np.ndarray, truth: np.ndarray) -> float:
    """The number by which logits must be divided so that their probabilities fit best, between 0.05 and 20.

    It minimises the cross-entropy, which is convex in 1 / temperature (Guo et al., 2017). Above 1 a model is too sure.
    As in Platt scaling, one example in n + 2 counts as wrong, so that a model that is right on all n examples does not
    become sure of everything.

    >>> logits = np.array([[4.0, 0.0]] * 4000)
    >>> temperature = temperature_of(logits, np.repeat([0, 0, 0, 1], 1000))
    >>> round(temperature, 1), round(float(softmax(logits / temperature)[0, 0]), 2)
    (3.6, 0.75)
    """
    wrong = 1 / (len(truth) + 2)
    targets = np.full(logits.shape, wrong / (logits.shape[1] - 1))
    targets[np.arange(len(truth)), truth] = 1 - wrong

    def cross_entropy(exponent: float) -> float:
        return float(-(targets * np.log(np.maximum(softmax(logits / np.exp(exponent)), 1e-12))).sum(1).mean())

    low, high, golden = np.log(0.05), np.log(20.0), (np.sqrt(5) - 1) / 2
    for _ in range(60):  # golden section
        left, right = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, right) if cross_entropy(left) < cross_entropy(right) else (left, high)
    return float(np.exp((low + high) / 2))

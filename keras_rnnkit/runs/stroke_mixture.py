"""The mixture-density head for pen movements: the loss, a baseline without memory, and drawing from it."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_rnnkit import keras_internals
from keras_rnnkit.data.strokes import END

PENS = 3
"""The pen draws on, is lifted, or the drawing is complete."""


def width_of(mixtures: int) -> int:
    """Outputs of the head: for each mixture a weight, two means, two spreads and a correlation; and the pen.

    >>> width_of(5)
    33
    """
    return 6 * mixtures + PENS


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class StrokeMixture(keras.losses.Loss):
    """Mean of -log p(movement, pen) over the points of drawings, in nats.

        p(x, y, pen) = sum_m pi_m N(x, y; mu_m, sigma_m, rho_m) * p(pen)

    Targets [B, T, 3] are x, y and the pen's number; points whose pen is below 0 are padding and do not count. Outputs
    [B, T, 6 M + 3] are the logits of pi, mu_x, mu_y, log sigma_x, log sigma_y, the arctanh of rho, M of each, and the
    logits of the pen.

    Paper: A. Graves, Generating sequences with recurrent neural networks, 2013, equations 23 to 26. There the pen has
    two states; here a third one ends the drawing, as in D. Ha and D. Eck, 2017.
    """

    def __call__(self, y_true, y_pred, sample_weight=None):
        y_pred = ops.convert_to_tensor(y_pred)
        keras_internals.set_keras_mask(y_pred, y_true[..., 2] >= 0)  # Keras takes the mean over what is not masked
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true, y_pred):
        pen = ops.cast(y_true[..., 2], "int32")
        log_p = log_density(y_true[..., :2], y_pred[..., :-PENS])
        log_pen = ops.log_softmax(y_pred[..., -PENS:])
        return -(log_p + ops.take_along_axis(log_pen, ops.maximum(pen, 0)[..., None], axis=-1)[..., 0])


def log_density(point, outputs):
    """log sum_m pi_m N(x, y; mu_m, sigma_m, rho_m) [B, T] for points [B, T, 2]."""
    pi, mu_x, mu_y, log_x, log_y, r = ops.split(outputs, 6, axis=-1)
    log_x, log_y, rho = ops.maximum(log_x, -5.0), ops.maximum(log_y, -5.0), 0.99 * ops.tanh(r)
    x, y = (point[..., :1] - mu_x) * ops.exp(-log_x), (point[..., 1:] - mu_y) * ops.exp(-log_y)
    rest = 1.0 - ops.square(rho)
    z = (ops.square(x) + ops.square(y) - 2.0 * rho * x * y) / (2.0 * rest)
    normal = -z - log_x - log_y - 0.5 * ops.log(rest) - math.log(2 * math.pi)
    return ops.logsumexp(ops.log_softmax(pi) + normal, axis=-1)


def drawn_point(outputs: np.ndarray, random: np.random.Generator, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Movements [B, 2] and pens [B], drawn from the outputs [B, 6 M + 3] of the head.

    Arguments:
        outputs: of one step.
        random: the random numbers.
        temperature: below 1 the movements stay nearer to the means, and likely choices become more likely.
    """
    pi, mu_x, mu_y, log_x, log_y, r = np.split(outputs[:, :-PENS].astype(float), 6, axis=-1)
    rows = np.arange(len(outputs))
    m = choice(pi / temperature, random)
    pen = choice(outputs[:, -PENS:].astype(float) / temperature, random)
    rho, scale = 0.99 * np.tanh(r[rows, m]), math.sqrt(temperature)
    a, b = random.normal(size=(2, len(outputs))) * scale
    x = mu_x[rows, m] + np.exp(np.maximum(log_x[rows, m], -5.0)) * a
    y = mu_y[rows, m] + np.exp(np.maximum(log_y[rows, m], -5.0)) * (rho * a + np.sqrt(1 - rho**2) * b)
    return np.stack([x, y], axis=-1), pen


def choice(logits: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """One index for each row of logits [B, N], by the Gumbel trick."""
    return np.argmax(logits + random.gumbel(size=logits.shape), axis=-1)


def drawn_strokes(bundle: Any, label: np.ndarray, steps: int, seed: int, temperature: float) -> list[np.ndarray]:
    """Drawings by a bundle, each [T, 3]: movements and pens up to the end.

    Arguments:
        bundle: has the inputs "points" [B, T, 5], see `fed`, and "label".
        label: one-hot rows, one for each drawing.
        steps: the largest number of points.
        seed: seed of the random numbers.
        temperature: as in `drawn_point`.
    """
    random, stream = np.random.default_rng(seed), bundle.stream(rows=len(label), label=label)
    point, points = start_of(len(label)), []
    for _ in range(steps):
        moves, pens = drawn_point(stream.push(point[:, None])[:, 0], random, temperature)
        points.append(np.concatenate([moves, pens[:, None]], axis=-1))
        point = fed(moves, pens)
    table = np.stack(points, axis=1)
    ends = np.where((table[..., 2] == END).any(1), (table[..., 2] == END).argmax(1), steps - 1)
    return [row[: end + 1] for row, end in zip(table, ends, strict=True)]


def fed(moves: np.ndarray, pens: np.ndarray) -> np.ndarray:
    """Points as the model reads them: movements [..., 2] and the pen as a one-hot vector [..., 3]."""
    return np.concatenate([moves, np.eye(PENS)[np.maximum(pens, 0)]], axis=-1).astype("float32")


def start_of(rows: int) -> np.ndarray:
    """The point before the first one [rows, 5]: no movement, and no pen."""
    return np.zeros((rows, 2 + PENS), np.float32)


def nats_without_memory(train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> float:
    """Nats of a test point by a model that knows only the number of the point: its mean movement, its spread, its pens.

    Arguments:
        train, test: movements [N, T, 2] and pens [N, T] of drawings; the pen of padding is below 0.
    """
    total, count = 0.0, 0
    for t in range(test[1].shape[1]):
        seen, asked = train[1][:, t] >= 0 if t < train[1].shape[1] else np.zeros(0, bool), test[1][:, t] >= 0
        if not asked.any():
            continue
        moves = train[0][seen, t] if seen.sum() > 1 else train[0][train[1] >= 0]
        pens = train[1][seen, t] if seen.sum() > 1 else train[1][train[1] >= 0]
        spread = np.maximum(moves.std(0), 1e-2)
        z = (test[0][asked, t] - moves.mean(0)) / spread
        frequency = (np.bincount(pens, minlength=PENS) + 0.5) / (len(pens) + 0.5 * PENS)
        total += float((0.5 * z**2 + np.log(spread) + 0.5 * math.log(2 * math.pi)).sum())
        total -= float(np.log(frequency[test[1][asked, t]]).sum())
        count += int(asked.sum())
    return total / count

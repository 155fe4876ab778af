"""Images as shades of grey that a model predicts one after the other, and what the simplest models make of them."""

from __future__ import annotations

from typing import Any

import numpy as np


def shades_of(images: np.ndarray, levels: int) -> np.ndarray:
    """Images of 0 to 255 in a number of shades, 0 to levels - 1.

    >>> shades_of(np.array([0, 63, 64, 255], np.uint8), 4).tolist()
    [0, 0, 1, 3]
    """
    return (images.astype(np.int32) * levels // 256).astype(np.int32)


def pixel_arrays(shades: np.ndarray, label: np.ndarray, levels: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Inputs and targets of a model that draws pixel by pixel, row by row; the first input is START, which is `levels`.

    Arguments:
        shades: [N, S, S].
        label: one-hot rows [N, labels].
        levels: the number of shades.
    """
    targets = shades.reshape(len(shades), -1)
    return {"pixels": before(targets, levels), "label": label}, targets


def row_arrays(shades: np.ndarray, label: np.ndarray, levels: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Inputs and targets of a model that draws a row at once. It reads shades as numbers from 0 to 1; START is -1."""
    rows = before(shades, 0).astype(np.float32) / (levels - 1)
    rows[:, 0] = -1.0
    return {"rows": rows, "label": label}, shades


def before(targets: np.ndarray, start: int) -> np.ndarray:
    """The targets [N, T, ...] one step later, after a start."""
    return np.concatenate([np.full_like(targets[:, :1], start), targets[:, :-1]], axis=1)


def bits_of_pixels(train: np.ndarray, test: np.ndarray, levels: int) -> float:
    """Bits of a test pixel by a model that knows how often each pixel has each shade, and nothing else.

    With two shades it is the model that knows the mean of each pixel. Half a pixel of each shade is added, so that no
    shade is impossible.

    Arguments:
        train, test: shades [N, S, S].
        levels: the number of shades.

    >>> round(bits_of_pixels(np.array([[[0]], [[1]]]), np.array([[[1]]]), 2), 3)
    1.0
    """
    counts = np.stack([(train == shade).sum(0) for shade in range(levels)], axis=-1) + 0.5
    log_p = np.log2(counts / counts.sum(-1, keepdims=True))
    return float(-np.take_along_axis(log_p[None], test[..., None], axis=-1).mean())


def nearest_labels(shades: np.ndarray, numbers: np.ndarray, drawings: np.ndarray) -> np.ndarray:
    """The label of the training image that is most like each drawing: a judge that has not seen the model.

    Arguments:
        shades, numbers: the training images [N, S, S] and the numbers of their labels [N].
        drawings: [M, S, S].
    """
    a, b = shades.reshape(len(shades), -1).astype(float), drawings.reshape(len(drawings), -1).astype(float)
    distances = (a**2).sum(1)[None] - 2 * b @ a.T
    return numbers[distances.argmin(1)]


def drawn_rows(bundle: Any, label: np.ndarray, size: int, levels: int, seed: int, temperature: float) -> np.ndarray:
    """Drawings [N, S, S] by a bundle that draws row by row.

    Arguments:
        bundle: has the inputs "rows" and "label".
        label: one-hot rows, one for each drawing.
        size, levels: height and width, and the number of shades.
        seed: seed of the random numbers.
        temperature: below 1 likely shades become more likely.
    """
    random, stream = np.random.default_rng(seed), bundle.stream(rows=len(label), label=label)
    row, rows = np.full((len(label), 1, size), -1.0, np.float32), []
    for _ in range(size):
        scores = stream.push(row)[:, 0].astype(float) / temperature
        shades = np.argmax(scores + random.gumbel(size=scores.shape), axis=-1)
        rows.append(shades)
        row = (shades[:, None] / (levels - 1)).astype("float32")
    return np.stack(rows, axis=1)

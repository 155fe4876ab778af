"""Images as sequences of patches, and the orders in which they are read."""

from __future__ import annotations

from typing import Any

import numpy as np


def patch_table(images: Any, patch: int) -> Any:
    """All patches of images [B, S, S] by their places, row by row: [B, (S / patch)^2, patch^2].

    Arguments:
        images: an array or a tensor of Keras.
        patch: height and width of a patch; it must divide S.

    >>> import numpy as np
    >>> np.asarray(patch_table(np.arange(16.0).reshape(1, 4, 4), 2)).tolist()
    [[[0.0, 1.0, 4.0, 5.0], [2.0, 3.0, 6.0, 7.0], [8.0, 9.0, 12.0, 13.0], [10.0, 11.0, 14.0, 15.0]]]
    """
    from keras import ops

    side = images.shape[-1] // patch
    blocks = ops.reshape(images, (-1, side, patch, side, patch))
    return ops.reshape(ops.transpose(blocks, (0, 1, 3, 2, 4)), (-1, side * side, patch * patch))


def patches_at(images: Any, places: Any, patch: int) -> Any:
    """The patches [B, T, patch^2] of images [B, S, S] at places [B, T].

    >>> np.asarray(patches_at(np.arange(16.0).reshape(1, 4, 4), np.array([[3, 0]]), 2)).tolist()
    [[[10.0, 11.0, 14.0, 15.0], [0.0, 1.0, 4.0, 5.0]]]
    """
    from keras import ops

    return ops.take_along_axis(patch_table(images, patch), ops.cast(places, "int32")[:, :, None], axis=1)


def row_order(side: int) -> np.ndarray:
    """All places of a grid, row by row."""
    return np.arange(side * side)


def scan_order(side: int) -> np.ndarray:
    """All places of a grid from the middle outwards, each ring clockwise.

    >>> scan_order(3).tolist()
    [4, 5, 7, 3, 1, 8, 6, 0, 2]
    """
    rows, columns = (np.indices((side, side)).reshape(2, -1) - (side - 1) / 2).astype(float)
    return np.lexsort((np.arctan2(rows, columns) % (2 * np.pi), rows**2 + columns**2))


def random_order(side: int, seed: int) -> np.ndarray:
    """All places of a grid in a random order, the same for all images."""
    return np.random.default_rng(seed).permutation(side * side)

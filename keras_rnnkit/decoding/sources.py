"""Sources of different lengths as one batch, and the checks of sources."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_rnnkit.decoding.errors import DecodingError


class SourceError(DecodingError):
    """A source that a model cannot read. The message says what was received and what was expected."""


def checked_source(source: Any, tokens: int | None = None, limit: int | None = None) -> np.ndarray:
    """The source as one array: tokens [B, S] padded with 0, or numbers [B, ...] as they came.

    Arguments:
        tokens: size of the vocabulary, for a source of tokens. limit: steps of the longest source allowed.

    >>> checked_source([[4, 5, 6], [7]], tokens=8).tolist()
    [[4, 5, 6], [7, 0, 0]]
    """
    if tokens is None:
        array = np.asarray(source, np.float32)
        if array.ndim < 3 or 0 in array.shape:
            raise SourceError(
                f"A source must be features [batch, steps, size] or images. Received: {list(array.shape)}."
            )
        check_length(array.shape[1] if array.ndim == 3 else 0, limit, 0)
        return array
    rows = [np.asarray(row) for row in (source if isinstance(source, list | tuple) else np.atleast_2d(source))]
    if not rows:
        raise SourceError("There is no source. Received: an empty list. Give one or more.")
    for number, row in enumerate(rows):
        check_tokens(row, tokens, limit, number)
    padded = np.zeros((len(rows), max(map(len, rows))), np.int32)
    for line, row in zip(padded, rows, strict=True):
        line[: len(row)] = row
    return padded


def check_tokens(row: np.ndarray, tokens: int, limit: int | None, number: int) -> None:
    if row.ndim != 1:
        raise SourceError(
            f"A source must be a row of token ids, and a batch a list of them. Received: source {number} of shape "
            f"{list(row.shape)}; for a single source write [[4, 5, 6]]."
        )
    if not row.size or not np.any(row):
        raise SourceError(f"Source {number} is empty. Received: {list(row.shape)}. A source must be one token or more.")
    if row.dtype.kind not in "iu":
        raise SourceError(f"A source must be the ids of its tokens. Received: {row.dtype} in source {number}.")
    if row.min() < 0 or row.max() >= tokens:
        raise SourceError(
            f"Tokens must be 0 to {tokens - 1}. Received: {int(row.min())} to {int(row.max())} in source {number}."
        )
    check_length(len(row), limit, number)


def check_length(length: int, limit: int | None, number: int) -> None:
    if limit is not None and length > limit:
        raise SourceError(
            f"Source {number} has {length} steps, and the model takes {limit} at most. Shorten it, or train with a "
            "larger limit."
        )

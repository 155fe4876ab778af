"""Sequences of different lengths in one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from keras_rnnkit.runtime.errors import InputError


def ragged(value: Any) -> bool:
    """Whether it is a list of sequences that are not all of one length.

    >>> ragged([[1, 2], [3]]), ragged([[1, 2], [3, 4]]), ragged(np.zeros((2, 3)))
    (True, False, False)
    """
    if not isinstance(value, list | tuple):
        return False
    lengths = {length_of(row) for row in value}
    return len(lengths) > 1 and None not in lengths


def length_of(row: Any) -> int | None:
    """The number of steps of a sequence; None for a value that is not one."""
    try:
        return len(row)
    except TypeError:
        return None


def predict_by_length(predict: Callable[[dict[str, Any]], Any], feeds: Mapping[str, Any]) -> Any:
    """The results of `predict` for rows of different lengths, in their order. Rows of the same length share a run."""
    rows = {name: length_of(value) for name, value in feeds.items()}
    if len(set(rows.values())) != 1:
        raise InputError(f"All inputs must have the same number of rows. Received: {rows}.")
    sequences = [value for value in feeds.values() if ragged(value)]
    lengths = [tuple(len(row) for row in row_of_each) for row_of_each in zip(*sequences, strict=True)]
    if any(0 in row for row in lengths):
        raise InputError("Every sequence must have one step or more. Received: one with none.")
    results: dict[int, Any] = {}
    for length in dict.fromkeys(lengths):
        places = [place for place, other in enumerate(lengths) if other == length]
        outputs = predict({name: stacked(name, [value[i] for i in places]) for name, value in feeds.items()})
        for row, place in enumerate(places):
            results[place] = {n: a[row] for n, a in outputs.items()} if isinstance(outputs, dict) else outputs[row]
    ordered = [results[place] for place in range(len(lengths))]
    if isinstance(ordered[0], dict):
        return {name: together([row[name] for row in ordered]) for name in ordered[0]}
    return together(ordered)


def stacked(name: str, rows: list[Any]) -> np.ndarray:
    """Rows of one length as an array."""
    try:
        return np.stack([np.asarray(row) for row in rows])
    except (ValueError, TypeError) as error:
        raise InputError(f"The rows of the input {name!r} do not fit together: {error}.") from error


def together(rows: list[np.ndarray]) -> Any:
    """One array if all rows have the same shape, otherwise a list."""
    return np.stack(rows) if len({row.shape for row in rows}) == 1 else rows

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
    lengths = {len(row) if hasattr(row, "__len__") else None for row in value}
    return len(lengths) > 1 and None not in lengths


def by_length(predict: Callable[[dict[str, Any]], Any], feeds: Mapping[str, Any]) -> Any:
    """What `predict` says of rows of different lengths, those of one length in one run, in the order they came."""
    several = {name: value for name, value in feeds.items() if ragged(value)}
    lengths = [tuple(len(row) for row in rows) for rows in zip(*several.values(), strict=True)]
    rows = {name: len(value) for name, value in feeds.items()}
    if len(set(rows.values())) != 1:
        raise InputError(f"All inputs have as many rows. Received: {rows}.")
    if any(0 in length for length in lengths):
        raise InputError("Every sequence has one step or more. Received: one with none.")
    found: dict[int, Any] = {}
    for length in dict.fromkeys(lengths):
        places = [i for i, other in enumerate(lengths) if other == length]
        outputs = predict({name: np.stack([np.asarray(value[i]) for i in places]) for name, value in feeds.items()})
        for row, place in enumerate(places):
            found[place] = {n: a[row] for n, a in outputs.items()} if isinstance(outputs, dict) else outputs[row]
    ordered = [found[i] for i in range(len(lengths))]
    if isinstance(ordered[0], dict):
        return {name: together([row[name] for row in ordered]) for name in ordered[0]}
    return together(ordered)


def together(rows: list[np.ndarray]) -> Any:
    """One array where all rows have one shape, the list of them otherwise."""
    return np.stack(rows) if len({row.shape for row in rows}) == 1 else rows

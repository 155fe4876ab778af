"""Examples held out for validation and test, none of which occurs in training."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from keras_rnnkit.settings import SettingsError

LARGEST_SHARE = 10
"""By default, at most one example in this many is for validation, and as many for the test."""


def held_out_counts(count: int, valid: int | None, test: int | None, source: str) -> tuple[int, int]:
    """How many examples are for validation and for the test: what was asked for, or as much as the data allow.

    Arguments:
        count: the number of examples.
        valid, test: what the user asked for, None for 500 and 1000 or a tenth of the data, whichever is less.
        source: where the examples come from, for the error.

    >>> held_out_counts(40, None, 5, "pairs.tsv"), held_out_counts(10**5, None, None, "pairs.tsv")
    ((4, 5), (500, 1000))
    """
    tenth = max(1, count // LARGEST_SHARE)
    counts = valid or min(500, tenth), test or min(1000, tenth)
    if count < 2 * sum(counts):
        raise SettingsError(
            f"{source} has {count} examples, and {sum(counts)} are to be held out. Make --valid-count and --test-count "
            "smaller, or give more data."
        )
    return counts


def split(
    examples: Sequence[Any], valid: int, test: int, seed: int, key: Callable[[Any], Hashable]
) -> dict[str, list[Any]]:
    """Examples in random order, divided into "test", "valid" and "train".

    Examples with the same key stay together, so that a test example never has a twin in training; a group that begins
    in one part is in it as a whole.

    Arguments:
        examples: the examples.
        valid, test: how many are for validation and for the test, at least.
        seed: seed of the random order.
        key: what makes two examples twins, such as the source of a pair.

    >>> parts = split(["a1", "b1", "a2", "c1", "d1"], valid=1, test=1, seed=0, key=lambda example: example[0])
    >>> {name: sorted(part) for name, part in parts.items()}
    {'test': ['c1'], 'valid': ['a1', 'a2'], 'train': ['b1', 'd1']}
    """
    groups: dict[Hashable, list[Any]] = {}
    for example in examples:
        groups.setdefault(key(example), []).append(example)
    in_order = list(groups.values())
    parts: dict[str, list[Any]] = {"test": [], "valid": [], "train": []}
    for number in np.random.default_rng(seed).permutation(len(in_order)):
        name = "test" if len(parts["test"]) < test else "valid" if len(parts["valid"]) < valid else "train"
        parts[name].extend(in_order[number])
    return parts

"""Fewer combinations in the quick tests: a set in which every pair of values still occurs; all of them are a study."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest


def covering(combinations: Iterable[tuple]) -> list[tuple]:
    """A few of the combinations, in which each two values that occur together in any occur together too.

    >>> covering(itertools.product("abc", "xy", [1, 2]))
    [('a', 'x', 1), ('a', 'y', 2), ('b', 'x', 2), ('b', 'y', 1), ('c', 'x', 1), ('c', 'y', 2)]
    """
    combinations = list(combinations)
    missing = set().union(*map(pairs, combinations))
    chosen = []
    while missing:
        best = max(combinations, key=lambda combination: len(pairs(combination) & missing))
        missing -= pairs(best)
        chosen.append(best)
    return sorted(chosen, key=combinations.index)


def pairs(combination: tuple) -> set:
    """Each two values of a combination, with the axes that they belong to.

    >>> sorted(pairs(("a", 1)))
    [((0, 'a'), (1, 1))]
    """
    return set(itertools.combinations(enumerate(combination), 2))


def studied(names: str, combinations: Iterable, quick: Iterable) -> pytest.MarkDecorator:
    """Parametrise a test with the combinations; those that are not quick have the mark `study`."""
    quick = set(quick)
    marks = {True: [], False: [pytest.mark.study]}
    return pytest.mark.parametrize(
        names,
        [
            pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=marks[value in quick])
            for value in combinations
        ],
    )


def crossed(names: str, *axes: Iterable, where=lambda *values: True) -> pytest.MarkDecorator:
    """Parametrise a test with all combinations of the axes' values; those outside of `covering` have the mark `study`.

    where: tells of a combination whether it exists.
    """
    combinations = [values for values in itertools.product(*axes) if where(*values)]
    return studied(names, combinations, covering(combinations))

"""Pairs of texts as numbers: the vocabularies of a translation, and the pairs that are not too long."""

from __future__ import annotations

from typing import Any

import numpy as np

import keras_rnnkit as rk
from keras_rnnkit.runs.sequences import RESERVED, target_of
from keras_rnnkit.settings import SettingsError


def vocabulary_of(texts: list[str], settings: Any) -> Any:
    """The vocabulary of texts, by the unit of the settings."""
    if settings.kind == "subword":
        unit: Any = rk.text.Subwords.learned(texts, settings.max_tokens)
    else:
        unit = rk.text.Words(punctuation=True) if settings.kind == "word" else rk.text.Characters()
    return rk.text.Vocabulary.of(texts, unit, RESERVED, max_tokens=settings.max_tokens + len(RESERVED))


def as_numbers(pair: tuple[str, str], source: Any, target: Any, settings: Any) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of a source and of its target."""
    numbers = source.encode(pair[0])
    return numbers[::-1] if settings.reverse else numbers, target_of(pair[1], target)


def fits(source: np.ndarray, target: np.ndarray, settings: Any) -> bool:
    """Whether a pair is short enough, and its source not empty."""
    return 0 < len(source) <= settings.limit and len(target) <= settings.limit + 2


def numbered(
    pairs: list[tuple[str, str]], source: Any, target: Any, settings: Any
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Sources and targets as numbers, without pairs that are too long."""
    numbers = [as_numbers(pair, source, target, settings) for pair in pairs]
    kept = [pair for pair in numbers if fits(*pair, settings)]
    if not kept:
        raise SettingsError(f"All pairs are longer than {settings.limit} tokens. Give a larger --limit.")
    return [s for s, _ in kept], [t for _, t in kept]


def description(texts: Any, parts: Any, test: list, settings: Any) -> str:
    """The sizes of the parts in words."""
    kept = len(parts["train"][0]) + len(parts["valid"][0]) + len(test)
    too_long = sum(map(len, texts.values())) - kept
    return (
        f"{len(parts['train'][0]):,} pairs to train on, {len(parts['valid'][0]):,} for validation, {len(test):,} for "
        f"the test{f', {too_long:,} too long' if too_long else ''}; {settings.kind}s"
    )

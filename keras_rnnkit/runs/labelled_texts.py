"""Texts with labels as numbers: read, divided into parts, with the vocabularies of the words and of the labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import keras_rnnkit as rk
from keras_rnnkit.runs.run import Run
from keras_rnnkit.runs.splitting import held_out_counts, split
from keras_rnnkit.text import TextError
from keras_rnnkit.text.vocabulary import PADDING, UNKNOWN

LABELS = "vocabulary_labels"
USES = {"train": "to train on", "valid": "for validation", "test": "for the test"}


@dataclass(frozen=True)
class LabelledData:
    """Texts and labels as numbers, by part, the vocabularies of both, and the vectors [V, D] of --vectors, if any."""

    texts: dict[str, list[np.ndarray]]
    labels: dict[str, Any]
    words: Any
    names: Any
    vectors: np.ndarray | None

    def batches(self, part: str, settings: Any) -> rk.data.LabelledTexts:
        """Batches of texts of similar length."""
        weights: Any = rk.data.balanced_weights(self.labels["train"], len(self.names)) if settings.balance else None
        seed = settings.seed if part == "train" else None
        return rk.data.LabelledTexts(
            self.texts[part], self.labels[part], settings.tokens, settings.rows, weights=weights, seed=seed
        )


def read_texts(settings: Any, run: Run) -> LabelledData:
    """The texts of the settings, or generated reviews. The run begins with them."""
    parts = parts_of(settings)
    texts = {part: [text.lower() if settings.lower else text for text, _ in pairs] for part, pairs in parts.items()}
    words = run.vocabulary(lambda: vocabulary_of(texts["train"], settings))
    names = run.vocabulary(lambda: labels_of(parts["train"]), LABELS)
    numbers = {part: [words.encode(text) for text in texts[part]] for part in parts}
    labels = {
        part: np.array([number_of(label, names) for _, label in pairs], np.int32) for part, pairs in parts.items()
    }
    vectors = {} if settings.vectors is None else vectors_of(settings, words)
    long = sum(len(text) > settings.limit for every in numbers.values() for text in every)
    run.begin(
        ", ".join(f"{len(parts[part]):,} texts {use}" for part, use in USES.items())
        + f"; {len(names)} labels, {len(words):,} words"
        + (f"; {long:,} texts are cut after {settings.limit} words" if long else ""),
        *parts.values(),
    )
    if vectors:
        run.say("vectors", f"{len(vectors):,} of {len(words):,} words, of {settings.vectors}")
    run.keep(words)
    run.keep(names, LABELS)
    run.note(None if settings.balance else imbalance(labels["train"], names))
    cut = {part: [text[: settings.limit] for text in every] for part, every in numbers.items()}
    matrix = rk.data.matrix_of(words.tokens, vectors, settings.seed) if vectors else None
    return LabelledData(cut, labels, words, names, matrix)


def parts_of(settings: Any) -> dict[str, list[tuple[str, str]]]:
    """Texts with labels for training, validation and test. No text of the test occurs in training."""
    if settings.data:
        pairs = rk.data.read_labelled(settings.data, settings.text, settings.label)
        held_out = held_out_counts(len(pairs), settings.valid_count, settings.test_count, str(settings.data))
    else:
        most = (50, 100) if settings.smoke else (500, 1000)
        held_out = settings.valid_count or most[0], settings.test_count or most[1]
        pairs = rk.data.reviews(settings.count + sum(held_out), settings.seed)
    parts = split(pairs, *held_out, settings.seed, key=lambda pair: " ".join(pair[0].lower().split()))
    lost = sorted({label for _, label in pairs} - {label for _, label in parts["train"]})
    if lost:
        raise TextError(
            f"No text with the label {lost[0]!r} is left to train on. Give more of them, or another --seed."
        )
    return parts


def vocabulary_of(texts: list[str], settings: Any):
    unit = rk.text.Words(punctuation=True)
    return rk.text.Vocabulary.of(
        texts, unit, [PADDING, UNKNOWN], min_count=settings.min_count, max_tokens=settings.max_tokens
    )


def labels_of(pairs: list[tuple[str, str]]):
    """The labels, as a vocabulary whose tokens are whole labels."""
    return rk.text.Vocabulary(sorted({label for _, label in pairs}), rk.text.Words())


def number_of(label: str, names) -> int:
    if label not in names.numbers:
        raise TextError(
            f"The label {label!r} is none of {', '.join(map(repr, names.tokens[:20]))}, which the model has."
        )
    return names.numbers[label]


def imbalance(labels: np.ndarray, names) -> str | None:
    """A sentence about labels that are much rarer than others."""
    counts = np.bincount(labels, minlength=len(names))
    if counts.max() < 5 * counts.min():
        return None
    return (
        f"{names.tokens[counts.argmax()]!r} is {counts.max() / counts.min():.0f} times as frequent as "
        f"{names.tokens[counts.argmin()]!r}. Look at F1 more than at accuracy; --balance weighs all labels alike."
    )


def vectors_of(settings: Any, words: Any) -> dict[str, np.ndarray]:
    """The vectors of the file of --vectors, by the words of the vocabulary."""
    vectors = rk.data.read_vectors(settings.vectors, words.tokens)
    if not vectors:
        raise TextError(
            f"{str(settings.vectors)!r} has no vector of a word of the vocabulary. Give vectors of the language of the "
            "texts; try --no-lower where they have capital letters."
        )
    return vectors

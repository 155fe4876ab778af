"""Images with labels, divided into those for training, validation and test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import keras_rnnkit as rk
from keras_rnnkit.data.labelled_images import LabelledImages, handwritten_digits, read_labelled_images
from keras_rnnkit.runs.run import Run
from keras_rnnkit.runs.splitting import held_out_counts, split
from keras_rnnkit.settings import SettingsError

VALID, TEST = 120, 360
"""How many of the built-in digits are for validation and for the test."""

SMOKE = 96
"""Images of each part that --smoke uses at most."""

Arrays = tuple[np.ndarray, np.ndarray]
"""Images [N, S, S] and the numbers of their labels [N]."""


@dataclass(frozen=True)
class ImageParts:
    """Images for training, validation and test, and the labels in the order of their numbers."""

    train: Arrays
    valid: Arrays
    test: Arrays
    labels: list[str]

    @property
    def size(self) -> int:
        """Height and width of the images."""
        return self.train[0].shape[1]


def read_parts(settings: Any, run: Run) -> ImageParts:
    """The digits, or the images of --data; equal images are in the same part. The run begins with them.

    Arguments:
        settings: those of a pipeline with `data`, `size`, `valid_count` and `test_count`.
        run: the run.
    """
    source = str(settings.data or "the digits")
    images = read_labelled_images(settings.data, settings.size) if settings.data else handwritten_digits()
    labels = run.vocabulary(lambda: rk.text.Vocabulary(images.labels), "vocabulary_labels")
    numbers = renumbered(images, labels, source)
    valid, test = settings.valid_count, settings.test_count
    if settings.data is None:
        valid, test = valid or VALID, test or TEST
    valid, test = held_out_counts(len(numbers), valid, test, source)
    pairs = list(zip(images.images, numbers, strict=True))
    divided = split(pairs, valid, test, settings.seed, key=lambda pair: pair[0].tobytes())
    parts = {name: arrays_of(part[: SMOKE if settings.smoke else None]) for name, part in divided.items()}
    run.begin(in_words(parts, list(labels)), *(array for arrays in parts.values() for array in arrays))
    run.keep(labels, "vocabulary_labels")
    run.note(untrained(parts, list(labels)))
    return ImageParts(parts["train"], parts["valid"], parts["test"], list(labels))


def arrays_of(pairs: list[Any]) -> Arrays:
    return np.stack([image for image, _ in pairs]), np.array([number for _, number in pairs], np.int32)


def renumbered(images: LabelledImages, labels: Any, source: str) -> np.ndarray:
    """The numbers of the images' labels among the labels of the model."""
    unknown = next((label for label in images.labels if label not in labels), None)
    if unknown is not None:
        raise SettingsError(
            f"The label {unknown!r} of {source} is none of the labels of the run to continue from: "
            f"{', '.join(labels)}. Train without --continue-from."
        )
    return np.array([labels.number(label) for label in images.labels], np.int32)[images.numbers]


def in_words(parts: dict[str, Arrays], labels: list[str]) -> str:
    """The data in a sentence."""
    counts = {name: f"{len(images):,}" for name, (images, _) in parts.items()}
    side = parts["train"][0].shape[1]
    return (
        f"{counts['train']} images to train on, {counts['valid']} for validation, {counts['test']} for the test; "
        f"{len(labels)} labels, {side} x {side} pixels"
    )


def untrained(parts: dict[str, Arrays], labels: list[str]) -> str | None:
    """A sentence about labels that no training image has; None where there are none."""
    missing = [label for number, label in enumerate(labels) if number not in parts["train"][1]]
    if not missing:
        return None
    return f"No training image has the label {', '.join(missing)}: the model cannot learn it. Give more images."

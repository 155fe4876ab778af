"""Clips whose frames have labels, divided into those for training, validation and test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import keras_rnnkit as rk
from keras_rnnkit.data.clips import Clip, read_clips
from keras_rnnkit.data.moving_shapes import MOTIONS, moving_shapes
from keras_rnnkit.runs.clip_windows import check_labels, check_lengths, untrained_labels, windows_of
from keras_rnnkit.runs.run import Run
from keras_rnnkit.runs.splitting import held_out_counts, split


@dataclass(frozen=True)
class ClipParts:
    """Windows to train on and to validate, the test clips, and the labels in the order of their numbers."""

    train: tuple[np.ndarray, np.ndarray]
    valid: tuple[np.ndarray, np.ndarray]
    test: list[Clip]
    labels: list[str]

    @property
    def targets(self) -> list[np.ndarray]:
        """The numbers of the labels of every test clip."""
        numbers = {label: number for number, label in enumerate(self.labels)}
        return [np.array([numbers[label] for label in clip.labels]) for clip in self.test]


def read_clip_parts(settings: Any, run: Run) -> ClipParts:
    """Clips for training, validation and test, none of which has a twin in another part."""
    parts = rendered(settings) if settings.data is None else own(settings)
    clips = [clip for part in parts.values() for clip in part]
    check_lengths(clips, settings.window)
    names = MOTIONS if settings.data is None else sorted({label for clip in clips for label in clip.labels})
    labels = run.vocabulary(lambda: rk.text.Vocabulary(names), "vocabulary_labels")
    check_labels(clips, labels, str(settings.data))
    counts = f"{len(parts['train']):,} clips to train on, {len(parts['valid']):,} for validation"
    run.begin(
        f"{counts}, {len(parts['test']):,} for the test; {len(labels)} labels",
        *([clip.name, clip.frames, clip.labels] for clip in clips),
    )
    run.keep(labels, "vocabulary_labels")
    run.note(untrained_labels(parts))
    train, valid = (windows_of(parts[name], labels.numbers, settings.window) for name in ("train", "valid"))
    return ClipParts(train, valid, parts["test"], list(labels))


def rendered(settings: Any) -> dict[str, list[Clip]]:
    """Moving shapes; each part has random numbers of its own."""
    counts = {"train": settings.count, "valid": settings.valid_count or 100, "test": settings.test_count or 200}
    parts = {}
    for number, (name, count) in enumerate(counts.items()):
        shapes = moving_shapes(count, settings.seed * 3 + number, settings.window, settings.size)
        rows = zip(shapes.frames, shapes.labels, strict=True)
        parts[name] = [
            Clip(f"{name} clip {i}", x, [MOTIONS[label] for label in row]) for i, (x, row) in enumerate(rows)
        ]
    return parts


def own(settings: Any) -> dict[str, list[Clip]]:
    """A user's clips."""
    clips = read_clips(settings.data, settings.size)
    valid, test = held_out_counts(len(clips), settings.valid_count, settings.test_count, str(settings.data))
    return split(clips, valid, test, settings.seed, key=lambda clip: clip.frames.tobytes())

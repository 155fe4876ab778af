"""Clips as training data: windows of the same length, and the labels as numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from keras_rnnkit.data.clips import Clip
from keras_rnnkit.settings import SettingsError


def check_lengths(clips: Sequence[Clip], window: int) -> None:
    """Refuse clips that are shorter than a window."""
    shortest = min(clips, key=lambda clip: (len(clip.frames), clip.name))
    if len(shortest.frames) < window:
        raise SettingsError(
            f"The clip {shortest.name!r} has {len(shortest.frames)} frames, and a window has {window}. Remove the "
            f"clip, or train with --window {len(shortest.frames)}."
        )


def windows_of(clips: Sequence[Clip], numbers: dict[str, int], window: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames [N, window, size, size, 3] and labels [N, window] of all clips.

    Windows lie side by side; the last one of a clip ends with the clip, and may share frames with the one before it.
    """
    frames, labels = [], []
    for clip in clips:
        row = np.array([numbers[label] for label in clip.labels], np.int32)
        for start in starts_of(len(row), window):
            frames.append(clip.frames[start : start + window])
            labels.append(row[start : start + window])
    return np.stack(frames), np.stack(labels)


def starts_of(frames: int, window: int) -> list[int]:
    """The first frames of the windows of a clip.

    >>> starts_of(10, 4), starts_of(8, 4), starts_of(4, 4)
    ([0, 4, 6], [0, 4], [0])
    """
    return sorted({*range(0, frames - window + 1, window), frames - window})


def check_labels(clips: Sequence[Clip], labels: Iterable[str], source: str) -> None:
    """Refuse clips that all have one label, and labels that a model that training continues from does not know."""
    names = sorted({label for clip in clips for label in clip.labels})
    if len(names) == 1:
        raise SettingsError(
            f"All frames of {source} have the label {names[0]!r}, so there is nothing to learn. Give clips of two or "
            "more labels."
        )
    unknown = set(names) - set(labels)
    if unknown:
        raise SettingsError(
            f"The label {min(unknown)!r} of {source} is none of the labels of the run to continue from: "
            f"{', '.join(labels)}. Train without --continue-from."
        )


def untrained_labels(parts: dict[str, list[Clip]]) -> str | None:
    """A sentence about labels that only clips outside the training data have; None where there are none."""
    trained, *others = ({label for clip in parts[name] for label in clip.labels} for name in ("train", "valid", "test"))
    missing = sorted(set().union(*others) - trained)
    if not missing:
        return None
    return (
        f"No training clip has the label {', '.join(map(repr, missing))}: the model cannot learn it. Give more clips."
    )


def of_equal_length(predict: Callable[[np.ndarray], np.ndarray], clips: Sequence[Clip]) -> list[np.ndarray]:
    """The outputs [T, ...] of every clip; clips of the same length run together.

    Arguments:
        predict: gives the outputs [N, T, ...] of frames [N, T, size, size, 3].
        clips: the clips.
    """
    outputs: list[np.ndarray] = [np.zeros(0)] * len(clips)
    lengths = [len(clip.frames) for clip in clips]
    for length in sorted(set(lengths)):
        places = [place for place, frames in enumerate(lengths) if frames == length]
        results = predict(np.stack([clips[place].frames for place in places]).astype("float32"))
        for place, result in zip(places, results, strict=True):
            outputs[place] = np.asarray(result)
    return outputs

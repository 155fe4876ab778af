"""Pictures of clips whose frames have been labelled, narrow enough for a phone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnnkit.data.clips import Clip
from keras_rnnkit.runs.reporting import figure_of, ink_on, integer_ticks
from keras_rnnkit.runs.training_curves import DPI, WIDTH

COLUMNS, MOST_FRAMES, CLIPS = 8, 32, 5


def clip_sheet(clips: Sequence[Clip], predicted: Sequence[np.ndarray], labels: list[str], path: Path) -> None:
    """Clips frame by frame; the border of a frame has the colour of the predicted label. Wrong frames are crossed out.

    Arguments:
        clips: test clips; those with wrong frames come last in the picture, a third of it at most.
        predicted: probabilities [T, labels] of every clip.
        labels: the names of the labels.
        path: the file of the picture.
    """
    places = chosen(clips, predicted, labels)
    rows = [-(-min(len(clips[place].frames), MOST_FRAMES) // COLUMNS) for place in places]
    figure = figure_of(WIDTH, 0.78 * sum(rows) + 0.42 * len(rows) + 0.5)
    blocks = figure.subfigures(len(rows), 1, height_ratios=[0.78 * count + 0.42 for count in rows], squeeze=False)[:, 0]
    for block, place, count in zip(blocks, places, rows, strict=True):
        draw_clip(block, clips[place], predicted[place].argmax(-1), labels, count)
    handles = legend(labels)
    spaced = {"fontsize": 9, "handlelength": 1.2, "columnspacing": 1.2}
    figure.legend(handles=handles, loc="outside upper center", ncols=min(5, len(handles)), frameon=False, **spaced)
    figure.savefig(path, dpi=DPI)


def chosen(clips: Sequence[Clip], predicted: Sequence[np.ndarray], labels: list[str]) -> list[int]:
    """Clips with all frames right, those with most labels first, and some with wrong ones."""
    wrong = [
        [labels[number] for number in numbers.argmax(-1)] != list(clip.labels)
        for clip, numbers in zip(clips, predicted, strict=True)
    ]
    varied = sorted(range(len(clips)), key=lambda place: -len(set(clips[place].labels)))
    failures = [place for place in varied if wrong[place]][: CLIPS // 3]
    return [*[place for place in varied if not wrong[place]][: CLIPS - len(failures)], *failures]


def draw_clip(block: Any, clip: Clip, numbers: np.ndarray, labels: list[str], rows: int) -> None:
    """The frames of one clip in rows, under its name."""
    right = sum(labels[number] == label for number, label in zip(numbers, clip.labels, strict=True))
    block.suptitle(f"{clip.name}: {right} of {len(clip.frames)} frames right", fontsize=9)
    cells = block.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axes in cells:
        axes.set(xticks=[], yticks=[])
    for axes, frame, number, label in zip(cells, clip.frames, numbers, clip.labels, strict=False):
        axes.imshow(frame, interpolation="nearest")
        for spine in axes.spines.values():
            spine.set(color=colour_of(number), linewidth=3)
        if labels[number] != label:
            height, width = frame.shape[:2]
            axes.plot([0, width - 1], [0, height - 1], color="black", linewidth=1)
            axes.set_xlabel(label[:12], fontsize=9, labelpad=2)
    for axes in cells[min(len(clip.frames), len(cells)) :]:
        axes.axis("off")


def colour_of(number: int) -> Any:
    """The colour of a label."""
    from matplotlib import colormaps

    return colormaps["tab10"](int(number) % 10)


def legend(labels: list[str]) -> list[Any]:
    """A patch of colour for each label, and the mark of wrong frames."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    patches: list[Any] = [Patch(color=colour_of(number), label=label) for number, label in enumerate(labels)]
    return [*patches, Line2D([], [], color="black", linewidth=1, label="wrong, right label below")]


def plot_by_frame(predicted: dict[str, Sequence[np.ndarray]], targets: Sequence[np.ndarray], path: Path) -> None:
    """The accuracy at each place in the clips.

    Arguments:
        predicted: by the name of a model, probabilities [T, labels] of every clip.
        targets: the numbers of the right labels of every clip.
        path: the file of the picture.
    """
    figure = figure_of(WIDTH, 3.4)
    axes = figure.subplots()
    longest = max(map(len, targets))
    for name, clips in predicted.items():
        right = [probabilities.argmax(-1) == numbers for probabilities, numbers in zip(clips, targets, strict=True)]
        shares = [100 * np.mean([row[t] for row in right if t < len(row)]) for t in range(longest)]
        axes.plot(range(longest), shares, "o-", markersize=3, label=name)
    axes.set(xlabel="frame of the clip", ylabel="right, %", ylim=(0, 103))
    integer_ticks(axes)
    axes.grid(True, alpha=0.3)
    figure.legend(frameon=False, loc="outside upper center", ncols=3)
    figure.savefig(path, dpi=DPI)


def plot_confusion(
    predicted: Sequence[np.ndarray], targets: Sequence[np.ndarray], labels: list[str], path: Path
) -> None:
    """How often frames of each label were given each label, in percent of the label's frames."""
    counts = np.zeros((len(labels), len(labels)))
    np.add.at(counts, (np.concatenate(targets), np.concatenate(predicted).argmax(-1)), 1)
    shares = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    size = min(WIDTH, 2 + 0.7 * len(labels))
    figure = figure_of(size, 0.85 * size)
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    if len(labels) <= 12:
        for (row, column), share in np.ndenumerate(shares):
            ink = ink_on(axes.images[0].cmap(share / 100))
            axes.text(column, row, f"{share:.1f}", ha="center", va="center", fontsize=9, color=ink)
    axes.set_xticks(range(len(labels)), labels, rotation=45 if len(labels) > 4 else 0)
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="label of the model", ylabel="right label")
    axes.tick_params(length=0)
    figure.savefig(path, dpi=DPI)

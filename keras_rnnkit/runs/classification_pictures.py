"""Pictures of a classifier: its confusion matrix, and how often it is right by how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnnkit.runs.reporting import figure_of


def plot_confusion(matrix: np.ndarray, names: Sequence[str], path: Path, most: int = 20) -> None:
    """A confusion matrix with the counts; of many classes, the most frequent ones.

    Arguments:
        matrix: true classes in rows, found ones in columns [C, C].
        names: of the classes.
        path: the file of the picture.
        most: how many classes are drawn.
    """
    shown = np.sort(np.argsort(-matrix.sum(1), kind="stable")[:most])
    matrix, labels = matrix[np.ix_(shown, shown)], [short(names[i]) for i in shown]
    side = min(6.6, 2.6 + 0.5 * len(shown))
    figure = figure_of(side + 0.6, side)
    axes: Any = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*matrix.shape):
        colour = "white" if shares[row, column] > 0.6 else "black"
        axes.text(column, row, f"{matrix[row, column]:,}", ha="center", va="center", color=colour, fontsize=9)
    axes.set_xticks(range(len(labels)), labels, rotation=0 if len(labels) < 5 else 60, parse_math=False)
    axes.set_yticks(range(len(labels)), labels, parse_math=False)
    axes.set(xlabel="answer of the model", ylabel="label")
    figure.savefig(path, dpi=150)


def short(name: str, most: int = 16) -> str:
    """A name that fits beside a picture.

    >>> short("a very long label indeed")
    'a very long lab…'
    """
    return name if len(name) <= most else name[: most - 1] + "…"


def plot_reliability(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """How often answers are right, by the probability that the model gives them; the size of a dot is their number."""
    figure = figure_of(4.6, 4.2)
    axes: Any = figure.subplots()
    lowest = min([0.5, *(min(row["confidence"], row["right"]) for row in rows)])
    axes.plot([100 * lowest, 100], [100 * lowest, 100], color="grey", linestyle="--", linewidth=1)
    total = sum(row["count"] for row in rows)
    axes.plot(
        [100 * row["confidence"] for row in rows], [100 * row["right"] for row in rows], color="#c1440e", linewidth=1
    )
    for row in rows:
        size = 20 + 300 * row["count"] / total
        axes.scatter(100 * row["confidence"], 100 * row["right"], s=size, color="#c1440e", alpha=0.8, linewidths=0)
        left = row["confidence"] > 0.9  # there is no room on the right
        place = {"xytext": (-8 if left else 8, -14), "textcoords": "offset points", "ha": "right" if left else "left"}
        axes.annotate(f"{row['count']:,}", (100 * row["confidence"], 100 * row["right"]), fontsize=8, **place)
    axes.set(xlabel="probability of the answer, %", ylabel="answers that are right, %")
    axes.set(xlim=(100 * lowest - 4, 106), ylim=(100 * lowest - 6, 106))
    axes.grid(True, alpha=0.3)
    figure.savefig(path, dpi=150)

"""The bits per character of each contender against the time of an epoch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

KINDS = (("block", "#7570b3"), ("LSTM GRU sLSTM IndRNN SRU", "#d95f02"), ("", "#1f77b4"))
"""Blocks, cells with a loop over their gates, and the cells that train over whole sequences at once."""
SIDES = ((7, 0, "left"), (-7, 0, "right"), (0, 9, "center"), (0, -9, "center"))
"""The sides of a point where its name can stand: the offset in points, and the end of the text that is beside it."""
LABELS = ("blocks", "cells with a loop", "cells without a loop")


def draw(rows: list[Any], path: Path) -> None:
    """Writes the picture; further down is better, further left is faster."""
    try:
        import matplotlib
    except ModuleNotFoundError:
        raise SystemExit(
            "The chart needs matplotlib. Install it with pip install 'keras-rnnkit[plot]', or leave --chart out."
        ) from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [row for row in rows if row.task == "characters"]
    figure, axes = pyplot.subplots(figsize=(5.5, 4.4))
    for i, label in enumerate(LABELS):
        of_kind = [row for row in rows if kind_of(row.name) == i]
        axes.scatter([row.epoch for row in of_kind], [row.score for row in of_kind], color=KINDS[i][1], label=label)
    axes.margins(x=0.17, y=0.08)
    axes.set_xlabel("CPU seconds of an epoch (further left is faster)")
    axes.set_ylabel(f"bits per character after {rows[0].steps if rows else 0:,} steps\n(further down is better)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.canvas.draw()  # from here on, points have their places in pixels
    name_points(axes, {row.name: (row.epoch, row.score) for row in rows})
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)


def name_points(axes: Any, points: dict[str, tuple[float, float]]) -> None:
    """Write the name of each point beside it, on the side where the fewest names, points and edges are in the way."""
    pixels = axes.transData.transform(list(points.values())) if points else []
    boxes: list[Any] = []
    for name, point in points.items():
        texts = [
            axes.annotate(name, point, xytext=(x, y), textcoords="offset points", fontsize=8, ha=side, va="center")
            for x, y, side in SIDES
        ]
        places = [text.get_window_extent().padded(3) for text in texts]
        crowds = [
            sum(box.overlaps(other) for other in boxes)
            + sum(box.contains(*pixel) for pixel in pixels)
            + (box.x0 < axes.bbox.x0 or box.x1 > axes.bbox.x1)
            for box in places
        ]
        best = crowds.index(min(crowds))
        boxes.append(places[best])
        for text in texts[:best] + texts[best + 1 :]:
            text.remove()


def kind_of(name: str) -> int:
    return 0 if "block" in name else 1 if name in KINDS[1][0].split() else 2

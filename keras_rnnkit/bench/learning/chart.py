"""The bits per character of each contender against the time of an epoch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

KINDS = (("block", "#7570b3"), ("LSTM GRU sLSTM IndRNN SRU", "#d95f02"), ("", "#1f77b4"))
"""Blocks, cells with a loop over their gates, and the cells that train over whole sequences at once."""
LABELS = ("blocks", "cells with a loop", "cells without")


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
    figure, axes = pyplot.subplots(figsize=(8, 5))
    for i, label in enumerate(LABELS):
        of_kind = [row for row in rows if kind_of(row.name) == i]
        axes.scatter([row.epoch for row in of_kind], [row.score for row in of_kind], color=KINDS[i][1], label=label)
    for i, row in enumerate(sorted(rows, key=lambda row: row.epoch)):
        place = (6, -10 if i % 2 else 4)  # neighbours have their names below and above
        axes.annotate(row.name, (row.epoch, row.score), xytext=place, textcoords="offset points", fontsize=8)
    axes.margins(x=0.12, y=0.08)
    axes.set_xlabel("seconds of all processors for an epoch (further left is faster)")
    axes.set_ylabel(f"bits per character after {rows[0].steps if rows else 0} steps (further down is better)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)


def kind_of(name: str) -> int:
    return 0 if "block" in name else 1 if name in KINDS[1][0].split() else 2

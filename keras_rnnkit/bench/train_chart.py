"""The ratios of `rnnkit bench train` as bars."""

from __future__ import annotations

from pathlib import Path
from typing import Any

COLOURS = {"ours": "#1f77b4", "torch": "#d95f02", "plain JAX": "#7570b3"}


def draw(result: Any, path: Path) -> None:
    """Writes the picture. How many times as fast as stock Keras each contender is; longer is faster."""
    try:
        import matplotlib
    except ModuleNotFoundError:
        raise ValueError(
            "The chart needs matplotlib. Install it with pip install 'keras-rnnkit[plot]', or leave --chart out."
        ) from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = [name for name in COLOURS if any(name in row.ratios for row in result.rows)]
    figure, axes = pyplot.subplots(figsize=(8, 1.2 + 0.22 * len(result.rows) * (len(names) + 0.6)))
    height = 0.8 / max(len(names), 1)
    for i, name in enumerate(names):
        places = [(y, row.ratios[name]) for y, row in enumerate(result.rows) if name in row.ratios]
        bars = axes.barh([y + i * height for y, _ in places], [r for _, r in places], height, color=COLOURS[name])
        bars.set_label(name)
        axes.bar_label(bars, fmt="%.2f", padding=2, fontsize=7)
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(result.rows)), [row.name for row in result.rows], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("times as fast as stock Keras in a training step (longer is faster)")
    axes.set_title(result.machine, fontsize=7)
    if names:
        axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)

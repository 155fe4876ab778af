"""The accuracy of translations by the length of their source, as numbers, a table and a plot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from keras_rnnkit.runs.reporting import figure_of, integer_ticks


def by_length(lengths: list[int], exact: dict[str, list[bool]], parts: int = 5) -> list[dict[str, Any]]:
    """The fraction of exact matches among sources of similar length, in groups of the same size."""
    edges = sorted(set(np.quantile(lengths, np.linspace(0, 1, parts + 1)[1:]).astype(int).tolist()))
    rows, low = [], 0
    for high in edges:
        inside = [low < length <= high for length in lengths]
        if any(inside):
            shares = {name: float(np.mean(np.array(right)[inside])) for name, right in exact.items()}
            shortest = min(length for length in lengths if length > low)
            rows.append({"from": shortest, "to": high, "count": int(np.sum(inside)), **shares})
        low = high
    return rows


def lengths_table(rows: list[dict[str, Any]]) -> Table:
    """The rows of `by_length` for the console."""
    names = [name for name in rows[0] if name not in ("from", "to", "count")]
    table = Table("tokens of the source", "pairs", *names, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(f"{row['from']} to {row['to']}", str(row["count"]), *(f"{row[name]:.1%}" for name in names))
    return table


def plot_lengths(rows: list[dict[str, Any]], path: Path) -> None:
    """Write the rows of `by_length` as a picture."""
    figure = figure_of(6, 3.6)
    axes = figure.subplots()
    for name in [name for name in rows[0] if name not in ("from", "to", "count")]:
        axes.plot([(row["from"] + row["to"]) / 2 for row in rows], [100 * row[name] for row in rows], "o-", label=name)
    axes.set(xlabel="tokens of the source", ylabel="exact translations, %", ylim=(0, 103))
    integer_ticks(axes)
    axes.grid(True, alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)

"""Counts of tokens and n-grams in a text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

NAMES = {1: "unigrams", 2: "bigrams", 3: "trigrams"}


def ngram_counts(tokens: Sequence[Any], n: int = 1) -> Counter[tuple[Any, ...]]:
    """The number of occurrences of each sequence of n tokens.

    Arguments:
        tokens: a text, or a list of tokens.
        n: the length of the sequences.

    >>> ngram_counts("banana", 2).most_common(2)
    [(('a', 'n'), 2), (('n', 'a'), 2)]
    """
    return Counter(zip(*(tokens[i:] for i in range(n)), strict=False))


def plot_rank_frequency(tokens: Sequence[Any], path: str | Path, orders: Iterable[int] = (1, 2, 3)) -> Path:
    """Write a picture of the frequency of n-grams by their rank, both axes logarithmic.

    A straight line means that the frequency falls like a power of the rank (Zipf, Human behavior and the principle of
    least effort, 1949).

    Arguments:
        tokens: the tokens of a text.
        path: the file of the picture, which is returned.
        orders: the lengths of the n-grams, with a line for each.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for n in orders:
        counts = sorted(ngram_counts(tokens, n).values(), reverse=True)
        axes.plot(range(1, len(counts) + 1), counts, label=f"{len(counts):,} {NAMES.get(n, f'{n}-grams')}")
    axes.set(xscale="log", yscale="log", xlabel="rank", ylabel="frequency", title=f"{len(tokens):,} tokens")
    axes.grid(True, which="major", alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)
    return Path(path)

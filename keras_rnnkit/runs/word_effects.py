"""What each word of a text does to a classifier's answer, and texts coloured by it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from keras_rnnkit.runs.reporting import figure_of, ink_on

WIDTH = 46
"""Characters of a line of a picture."""


def word_effects(predict: Callable[[list[np.ndarray]], np.ndarray], tokens: np.ndarray, label: int) -> np.ndarray:
    """By how much the log odds of a class fall when each token is left out [T].

        effect_t = log odds(label | text) - log odds(label | text without token t)

    Arguments:
        predict: probabilities [N, C] of a list of texts.
        tokens: the numbers of the tokens of a text [T], two or more.
        label: the class.

    >>> predict = lambda texts: np.array([[0.5, 0.5] if 7 not in text else [0.1, 0.9] for text in texts])
    >>> word_effects(predict, np.array([5, 7]), 1).round(2).tolist()
    [0.0, 2.2]
    """
    without = [np.delete(tokens, place) for place in range(len(tokens))]
    p = np.clip(predict([tokens, *without])[:, label], 1e-6, 1 - 1e-6)
    odds = np.log(p / (1 - p))
    return odds[0] - odds[1:]


def plot_effects(texts: Sequence[tuple[str, Sequence[str], np.ndarray]], path: Path) -> None:
    """Texts whose words are red where they speak for the class, and blue where they speak against it.

    Arguments:
        texts: for each a title, its words, and their effects.
        path: the file of the picture.
    """
    placed = [(title, lines_of(words), effects) for title, words, effects in texts]
    rows = sum(len(lines) + 2 for _, lines, _ in placed)
    figure = figure_of(5, 0.26 * rows)
    axes = figure.subplots()
    strongest = max((float(np.abs(effects).max()) for *_, effects in texts), default=1.0)
    row = 0
    for title, lines, effects in placed:
        axes.text(0, row + 0.75, title, fontsize=8.5, weight="bold", va="center", parse_math=False)
        place = 0
        for line in lines:
            row += 1
            draw_line(axes, row, line, effects[place : place + len(line)] / max(strongest, 1e-9))
            place += len(line)
        row += 2
    axes.set(xlim=(0, WIDTH), ylim=(rows, 0))
    axes.axis("off")
    figure.savefig(path, dpi=150)


def lines_of(words: Sequence[str]) -> list[list[str]]:
    """Words in lines that are not too long.

    >>> [len(line) for line in lines_of(["word"] * 15)]
    [9, 6]
    """
    lines: list[list[str]] = [[]]
    for word in words:
        if lines[-1] and sum(len(other) + 1 for other in lines[-1]) + len(word) > WIDTH:
            lines.append([])
        lines[-1].append(word)
    return lines


def draw_line(axes, row: int, words: Sequence[str], effects: np.ndarray) -> None:
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    column = 0.0
    for word, effect in zip(words, effects, strict=True):
        colour = colormaps["coolwarm"](0.5 + 0.5 * float(effect))
        axes.add_patch(Rectangle((column, row + 0.3), len(word) + 0.6, 0.9, facecolor=colour, edgecolor="none"))
        place = {"ha": "center", "va": "center", "fontsize": 8, "family": "monospace", "parse_math": False}
        axes.text(column + len(word) / 2 + 0.3, row + 0.75, word[:WIDTH], color=ink_on(colour), **place)
        column += len(word) + 1

"""Write the tables of docs/cells.md from `cells.json` and `learning.json`: `python docs/benchmarks/cell_tables.py`.

A table stands between `<!-- table NAME -->` and `<!-- end -->`, where NAME is one of `TABLES`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
PAGE = HERE.parent / "cells.md"
PLACE = re.compile(r"(<!-- table (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
SHAPES = ((16, 64), (16, 256), (16, 1024), (16, 4096), (1, 256), (1, 4096))
"""Rows and steps of the columns of the table of speed."""
TASKS = ("adding 200", "copying 200", "adding 1000", "copying 1000")


def tables(text: str, folder: Path = HERE) -> str:
    """The text with all its tables written anew from the result files of a folder."""

    def table(place: re.Match) -> str:
        file, lines = TABLES[place[2]]
        result = json.loads((folder / file).read_text(encoding="utf-8"))
        return place[1] + "\n".join(lines(result)) + "\n" + place[3]

    return PLACE.sub(table, text)


def speed(result: dict) -> Iterator[str]:
    """Milliseconds of a training step."""
    columns = [of_shape(result["rows"], b, t) for b, t in SHAPES]
    yield line(["cell", *(f"B {b}<br>T {t}" for b, t in SHAPES)])
    yield line(["---"] * (len(SHAPES) + 1))
    for name in columns[0]:
        yield line([name, *(number(median(column[name])) for column in columns)])


def exported(result: dict) -> Iterator[str]:
    """The rows of a table of exported files: the time of a step and of a sequence, and the weights of the cell."""
    yield line(["cell", "a step of a stream", "1,000 steps", "weights"])
    yield line(["---"] * 4)
    for name in result["stream"]:
        stream, whole = median(result["stream"][name]), median(result["whole"][name])
        yield line([name, f"{1000 * stream:.0f} us", f"{number(whole)} ms", f"{result['weights'][name]:,}"])


def megabytes(result: dict) -> Iterator[str]:
    """The rows of a table of the memory of a training step."""
    shapes = [shape.split() for shape in result["memory"]]
    yield line(["cell", *(f"{batch.replace('=', ' ')}<br>{steps.replace('=', ' ')}" for batch, steps, *_ in shapes)])
    yield line(["---"] * (len(shapes) + 1))
    for name in result["stream"]:
        of = [column.get(name) for column in result["memory"].values()]
        yield line([name, *("" if mb is None else f"{mb:.0f} MB" for mb in of)])


def of_shape(results: dict, batch: int, steps: int) -> dict:
    """A shape's results, as they are kept in the file."""
    return next(row for shape, row in results.items() if shape.startswith(f"B={batch} T={steps} "))


def characters(result: dict) -> Iterator[str]:
    """The rows of a table of networks that were trained on a text, the one with the fewest bits first."""
    yield line(["network", "bits per character", "time of an epoch", "units", "weights"])
    yield line(["---"] * 5)
    rows = [row for row in result["rows"] if row["task"] == "characters"]
    for row in sorted(rows, key=lambda row: row["score"]):
        epoch = f"{row['epoch']:.0f} s"
        yield line([row["name"], f"{row['score']:.2f}", epoch, str(row["units"]), f"{row['weights']:,}"])


def memory(result: dict) -> Iterator[str]:
    """The rows of a table of tasks for the memory: the squared error of sums, and the share of right tokens."""
    scores = {(row["task"], row["name"]): row for row in result["rows"] if row["task"] in TASKS}
    tasks = [task for task in TASKS if any(each == task for each, _ in scores)]
    steps = {row["task"]: row["steps"] for row in scores.values()}
    yield line(["network", *(f"{task}<br>{steps[task]:,} updates" for task in tasks)])
    yield line(["---"] * (len(tasks) + 1))
    for name in dict.fromkeys(name for _, name in scores):
        yield line([name, *(score(scores.get((task, name))) for task in tasks)])


def score(row: dict | None) -> str:
    if row is None:
        return "not run"
    return f"{row['score']:.0%}" if row["unit"] == "right" else f"{row['score']:.4f}"


def number(value: float) -> str:
    """Two digits, or all of those before the point."""
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


TABLES = {
    "speed": ("cells.json", speed),
    "exported": ("cells.json", exported),
    "megabytes": ("cells.json", megabytes),
    "characters": ("learning.json", characters),
    "memory": ("learning.json", memory),
}


if __name__ == "__main__":
    PAGE.write_text(tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")

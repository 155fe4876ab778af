"""Write the tables of docs/benchmarks/README.md from the JSON files beside it: `python docs/benchmarks/tables.py`.

A table stands between `<!-- table NAME.json -->` and `<!-- end -->`. Where the file is missing, the text between stays.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
PLACE = re.compile(r"(<!-- table (\S+\.json) -->\n).*?(<!-- end -->)", re.DOTALL)


def tables(text: str, folder: Path) -> str:
    """The text with the tables of all result files that the folder holds."""

    def table(place: re.Match) -> str:
        path = folder / place[2]
        if not path.exists():
            return place[0]
        return place[1] + "\n".join(section(json.loads(path.read_text(encoding="utf-8")))) + "\n" + place[3]

    return PLACE.sub(table, text)


def section(result: dict) -> list[str]:
    lines = [conditions(result), ""] if result["rows"] else []
    if result["rows"]:
        lines += rows_of(result["rows"])
        lines += [f"\nNot timed: {row['refusal']}" for row in result["rows"] if row["refusal"]]
    for name, seconds in result["first_step"].items():
        median, low, high = np.median(seconds), min(seconds), max(seconds)
        lines.append(f"- the first step of `fit`, {name}: {median:.2f} s ({low:.2f} to {high:.2f})")
    return lines


def conditions(result: dict) -> str:
    return (
        f"{result['machine']}. Medians of {result['repeats']} turns, in brackets the 10th and 90th percentile; "
        f"milliseconds of a step. Large products run at {result['gemm_rate'] / 1e9:.0f} GF/s; the load was "
        f"{result['load']:.1f} at the start."
    )


def rows_of(rows: list[dict]) -> list[str]:
    timed = [row for row in rows if row["times"]]
    names = list(dict.fromkeys(name for row in timed for name in row["times"]))
    others = [name for name in names if name not in ("stock", "ours")]
    head = ["row", "stock Keras", "ours", "**stock / ours**", *(f"{n} / ours" for n in others)]
    head += ["error, stock", "error, ours", "of the GEMM rate"]
    lines = [line(head), line(["---"] * len(head))]
    for row in timed:
        times, errors, ours = row["times"], row["errors"], row["times"]["ours"][0]
        ratios = [f"{times[n][0] / ours:.2f}" if n in times else "" for n in others]
        error = [f"{errors[n]:.0e}" if n in errors else "" for n in ("stock", "ours")]
        share = "" if row["of_gemm_rate"] is None else f"{row['of_gemm_rate']:.0%}"
        both = [spread(times[n]) for n in ("stock", "ours")]
        lines.append(line([row["name"], *both, f"**{times['stock'][0] / ours:.2f}**", *ratios, *error, share]))
    return lines


def spread(times: list[float]) -> str:
    median, low, high = (f"{t:.3g}" for t in times)
    return f"{median} ({low} to {high})"


def line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    page = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "README.md"
    page.write_text(tables(page.read_text(encoding="utf-8"), page.parent), encoding="utf-8")

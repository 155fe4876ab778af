"""What the study found, as a table."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

# Survivors that compute the same as the code, or whose difference nobody can see, each with the reason.
EQUIVALENT: dict[str, str] = {}


def read(results: Path) -> dict[str, dict]:
    """The last result of each mutant, by its name."""
    if not results.exists():
        return {}
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    return {line["name"]: line for line in lines}


def table(results: Path) -> str:
    """Numbers for each folder, and the survivors with what was changed."""
    lines = sorted(read(results).values(), key=lambda line: line["number"])
    sampled, survived, equivalent = Counter(), Counter(), Counter()
    text = []
    for line in lines:
        folder, reason = line["name"].split("/")[1], EQUIVALENT.get(line["name"])
        sampled[folder] += 1
        if line["result"] == "passed":
            (survived if reason is None else equivalent)[folder] += 1
            text += ["", line["name"], *(f"    {change}" for change in line["change"]), *([reason] if reason else [])]
    rows = [row(folder, sampled[folder], equivalent[folder], survived[folder]) for folder in sorted(sampled)]
    rows.append(row("all", sampled.total(), equivalent.total(), survived.total()))
    head = "| folder | sampled | caught | equivalent | survived |\n| --- | --- | --- | --- | --- |"
    return "\n".join([head, *rows, *text])


def row(folder: str, sampled: int, equivalent: int, survived: int) -> str:
    return f"| {folder} | {sampled} | {sampled - equivalent - survived} | {equivalent} | {survived} |"

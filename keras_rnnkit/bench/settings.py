"""What the measurements can be told; each field with a text is an option of the command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated


@dataclass(frozen=True)
class ExportBench:
    """Of `rnnkit bench export`."""

    batch: Annotated[int, "Rows."] = 1
    steps: Annotated[int, "Steps of each row."] = 100
    features: Annotated[int, "Features of each step."] = 32
    units: Annotated[int, "Units of each layer."] = 64
    threads: Annotated[int, "Threads of onnxruntime."] = 1
    repeats: Annotated[int, "Runs of each graph; they take turns."] = 50
    only: Annotated[str, "Only the rows whose name has this in it."] = ""
    json: Annotated[Path | None, "Write the rows and the machine to this file too."] = None

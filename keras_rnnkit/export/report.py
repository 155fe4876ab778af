"""What an export did, to read and to keep."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    """One recurrence of the graph.

    error: largest error of its output, in proportion like that of the report; None if it was not measured. weights:
    their type in the file.
    """

    layer: str
    lowering: str
    reason: str
    nodes: int
    error: float | None = None
    weights: str = "float32"


@dataclass(frozen=True)
class ExportReport:
    """The report of one ONNX file; prints as a table.

    error: the largest difference of any output from Keras' over all probes, in proportion to the scale of its column,
    which is the range of the column's values, or wider where rounding alone moves them further than the tolerance.
    This is the number that is enforced: it is at most the tolerance. None without verification.
    quantized: "int8" or "float16" if the weights were asked for in fewer bits, and quantized_error the largest
    difference with them, in proportion to the widest range of an output's columns.
    latency: the times of a run beside those of Keras' own export, if they were asked for.
    states: (input, output) names of the states that a stateful model carries.
    """

    rows: list[Row]
    error: float | None
    tolerance: float
    opset: int
    size: int
    nodes: int
    seconds: float
    inputs: dict[str, list[Any]]
    outputs: dict[str, list[Any]]
    path: str = ""
    states: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    mode: str = "sequence"
    quantized: str | None = None
    quantized_error: float | None = None
    latency: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a manifest."""
        return asdict(self)

    def __str__(self) -> str:
        rows = [("layer", "lowering", "nodes", "error", "reason")]
        rows += [(r.layer, r.lowering, str(r.nodes), in_short(r.error), r.reason) for r in self.rows]
        widths = [max(len(row[i]) for row in rows) for i in range(4)] + [0]
        lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        if not self.rows:
            lines = ["no recurrent layer"]
        rest = [self.summary(), *([self.latency] if self.latency else []), *self.notes]
        return "\n".join([*lines[:1], "-" * max(map(len, lines)), *lines[1:], *rest])

    def summary(self) -> str:
        verified = (
            "not verified" if self.error is None else f"error {in_short(self.error)} (allowed {self.tolerance:g})"
        )
        size = size_in_short(self.size)
        if self.quantized:
            verified += f", {in_short(self.quantized_error)} with {self.quantized} weights"
        return f"{self.path}: {verified}, {self.nodes} nodes, opset {self.opset}, {size}, {self.seconds:.1f} s"


def in_short(error: float | None) -> str:
    return "-" if error is None else f"{error:.1e}"


def size_in_short(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"

"""How a cell's loop is written in ONNX: a table of lowerings, each with the sentence in which it refuses a cell."""

from __future__ import annotations

from typing import Any, NamedTuple

from keras_rnnkit.export.lowering.context import LoweringContext, innermost
from keras_rnnkit.export.lowering.operators import gru, linear, lstm, rnn, scan, windows

TABLE = {"LSTM": lstm, "GRU": gru, "RNN": rnn, "Linear": linear, "Windows": windows, "Scan": scan}
CHOICES = ("auto", "native", "scan")


class Choice(NamedTuple):
    """The lowering of a cell, and why not a more direct one."""

    name: str
    lowering: Any
    reason: str


def refusals(cell, context: LoweringContext) -> dict[str, str | None]:
    """For each lowering why it cannot write the cell exactly, or None."""
    return {name: lowering.refusal(cell, context) for name, lowering in TABLE.items()}


def choose(cell, context: LoweringContext) -> Choice:
    """The first lowering of the table that does not refuse; its reason tells why a native one did.

    >>> import numpy as np, keras_rnnkit as rk
    >>> choose(built(rk.cells.GRUCell(4), 3), LoweringContext()).name
    'GRU'
    >>> choose(built(rk.cells.GRUCell(4, activation="gelu"), 3), LoweringContext()).reason
    "ONNX's GRU has no activation 'gelu'"
    """
    reasons = refusals(cell, context)
    for name, refusal in reasons.items():
        if refusal is None:
            return Choice(name, TABLE[name], TABLE[name].REASON if name != "Scan" else why_scan(cell, reasons))
    raise ValueError(reasons["Scan"])


def why_scan(cell, reasons: dict[str, str | None]) -> str:
    for name, lowering in TABLE.items():
        if name != "Scan" and isinstance(innermost(cell), lowering.FAMILY):
            return str(reasons[name])
    return f"ONNX has no operator with the equation of {type(innermost(cell)).__name__}"


def built(cell, features: int):
    """The cell, built for that many input features."""
    if not cell.built:
        cell.build((None, features))
        cell.built = True
    return cell


__all__ = ["CHOICES", "TABLE", "Choice", "LoweringContext", "built", "choose", "refusals"]

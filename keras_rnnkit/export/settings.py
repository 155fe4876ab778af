"""The settings of an export."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.graph import check_opset
from keras_rnnkit.export.lowering.operators import CHOICES

MODES = ("sequence", "stream", "generate")
QUANTIZATIONS = ("int8", "float16")


def silently(stage: str) -> None:
    """Takes progress messages and shows none."""


@dataclass(frozen=True)
class Settings:
    """The arguments of `export_onnx` besides the model and the path; its docstring explains them."""

    mode: str = "sequence"
    opset: int = 18
    inputs: Any = None
    input_names: list[str] | None = None
    batch: int | None = None
    lowering: str = "auto"
    verify: bool = True
    tolerance: float = 1e-5
    strategy: Any = "sample"
    end: int | None = None
    forbidden: tuple[int, ...] = ()
    quantize: str | None = None
    calibration: Any = None
    max_error: float | None = None
    compare: bool = False
    progress: Callable[[str], Any] = silently

    def __post_init__(self):
        check_choice("mode", self.mode, MODES)
        check_choice("lowering", self.lowering, CHOICES)
        if self.quantize is not None:
            check_choice("quantize", self.quantize, QUANTIZATIONS)
        check_opset(self.opset)
        if self.compare and self.mode != "sequence":
            raise ExportError(
                f"Keras' own export writes whole sequences only. Received: compare=True with mode={self.mode!r}."
            )

    @property
    def prefer(self) -> str:
        """Which operators the lowering prefers; with int8 weights those that have an integer form."""
        return "int8" if self.quantize == "int8" and self.lowering == "auto" else self.lowering


def check_choice(argument: str, choice: str, choices: tuple[str, ...]) -> None:
    if choice not in choices:
        raise ExportError(f"Received: {argument}={choice!r}. Expected one of {', '.join(map(repr, choices))}.")

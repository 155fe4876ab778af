"""What can be chosen about the demo. Imports nothing heavy, so that the command's `--help` answers at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from keras_rnnkit.settings import SettingsError


@dataclass(frozen=True)
class Settings:
    """What can be chosen. A field with a text beside its type is an option of the command."""

    cell: Annotated[Literal["gru", "lstm", "vanilla"], "The recurrence of the layers."] = "gru"
    units: Annotated[int, "Width of a layer."] = 256
    layers: Annotated[int, "How many layers."] = 1
    steps: Annotated[int, "How many batches to train on."] = 600
    seconds: Annotated[float | None, "Stop training after this time, if the steps take longer."] = None
    temperature: Annotated[float, "Below 1 the text grows safer, above 1 wilder."] = 0.5
    start: Annotated[str, "The text to go on from."] = "The "
    length: Annotated[int, "How many characters to generate."] = 400
    seed: Annotated[int, "Of weights, batches and sampling."] = 0
    out: Annotated[Path, "Folder for the bundle; an earlier bundle there is replaced."] = Path("exported/demo")
    smoke: Annotated[bool, "A tiny model for a few steps: every stage in seconds, no text worth reading."] = False

    batch: int = 32
    window: int = 50
    embedding: int = 64
    learning_rate: float = 0.012
    clip_norm: float = 1.0
    held_out: float = 0.05

    def __post_init__(self):
        if self.smoke:
            for name, value in {"units": 16, "steps": 3, "length": 10, "embedding": 8, "held_out": 0.005}.items():
                object.__setattr__(self, name, value)
        for name in ("units", "layers", "steps", "seconds", "temperature", "length"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise SettingsError(f"{name} must be above zero. Received: {name}={value}.")
        if not self.start:
            raise SettingsError("start must have at least one character to continue from. Received: an empty text.")

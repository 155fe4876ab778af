"""What the pipelines can be told alike."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from keras_rnnkit.settings import SettingsError
from pipelines.recurrent import CELLS


@dataclass(frozen=True)
class Learning:
    """How the model is made, learns and is kept

    Each field is an option of the command.
    """

    cell: Annotated[str, f"One of {', '.join(CELLS)}."] = "gru"
    layers: Annotated[int, "Recurrent layers."] = 1
    units: Annotated[int, "Units of each."] = 128
    embedding: Annotated[int, "Width of a token."] = 64
    dropout: Annotated[float, "Of what goes into the layers, and of what comes out."] = 0.0
    epochs: Annotated[int, "Times through what is learned."] = 10
    optimizer: Annotated[Literal["sgd", "adam", "adamw", "rmsprop"], "The rule of learning."] = "adam"
    learning_rate: Annotated[float, "Learning rate."] = 3e-3
    schedule: Annotated[
        Literal["constant", "halving", "cosine", "plateau"], "How the rate falls; plateau: where nothing grew better."
    ] = "constant"
    after: Annotated[int, "Of halving: the last epoch of the full rate."] = 4
    factor: Annotated[float, "Of halving and plateau: what is left of the rate each time."] = 0.5
    warmup: Annotated[int, "Steps in which the rate rises."] = 0
    clip: Annotated[float, "Largest norm of the whole gradient; 0 for none."] = 1.0
    average: Annotated[float, "Judge by weights averaged with this momentum, such as 0.999; 0 for the last ones."] = 0.0
    patience: Annotated[int, "Epochs without anything better before training ends; 0 for never."] = 0
    mixed: Annotated[bool, "Compute in 16 bits where the device can."] = False
    seed: Annotated[int, "Of everything random."] = 0
    threads: Annotated[int, "Cores for one operator; 0 for all. 1 is often faster for 128 units and less."] = 0
    out: Annotated[Path, "Folder for the bundle, the report and the checkpoint."] = Path("exported/model")
    resume: Annotated[bool, "Go on from the checkpoint in that folder."] = False

    PLACE = ("out", "resume", "epochs", "patience", "threads")
    """Settings that a checkpoint need not agree on."""

    COUNTS = ("layers", "units", "embedding", "epochs")
    """Settings that are 1 or more."""

    PARTS = ("dropout", "average")
    """Settings from 0 to 1, without 1."""

    def __post_init__(self):
        if self.cell not in CELLS:
            raise SettingsError(f"Received: cell={self.cell!r}. Expected one of {', '.join(CELLS)}.")
        for name in self.COUNTS:
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} is 1 or more. Received: {name}={getattr(self, name)}.")
        for name in self.PARTS:
            if not 0 <= getattr(self, name) < 1:
                raise SettingsError(f"{name} is a part, 0 to 1. Received: {name}={getattr(self, name)}.")

    @property
    def best(self) -> Path:
        """The file of the best weights."""
        return self.out / "best.npz"

    @property
    def learned(self) -> dict:
        """What a checkpoint must agree on."""
        known = {k: str(v) if isinstance(v, Path) else v for k, v in dataclasses.asdict(self).items()}
        return {k: v for k, v in known.items() if k not in self.PLACE}


@dataclass(frozen=True)
class Training(Learning):
    """Sequences to sequences"""

    layers: Annotated[int, "Recurrent layers of the decoder."] = 1
    feeding: Annotated[bool, "Show each step what the step before had seen (input feeding)."] = False
    sampling: Annotated[
        float, "How often the decoder reads its own tokens, from the second epoch on (scheduled sampling)."
    ] = 0.0
    smoothing: Annotated[float, "Label smoothing."] = 0.0
    schedule: Annotated[
        Literal["constant", "halving", "cosine", "plateau"], "How the rate falls; plateau: where nothing grew better."
    ] = "cosine"
    beam: Annotated[int, "Hypotheses of the beam that is exported."] = 5
    penalty: Annotated[float, "Its length penalty; 0.6 to 1 is common."] = 0.0
    checkpoint_every: Annotated[int, "Batches between checkpoints."] = 500
    saved_model: Annotated[bool, "Write a SavedModel too."] = True

    PLACE = (*Learning.PLACE, "checkpoint_every", "beam", "penalty", "saved_model")
    COUNTS = (*Learning.COUNTS, "beam")
    PARTS = (*Learning.PARTS, "sampling", "smoothing")

    BY_DATA = {}
    """Of settings that were left out: what suits the built-in data, and a user's own."""

    def __post_init__(self):
        for name, values in self.BY_DATA.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, values[self.own_data])
        super().__post_init__()

    @property
    def own_data(self) -> bool:
        """Whether the data is the user's."""
        return False

"""The settings that pipelines share."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from keras_rnnkit.runs.packages import TRAINING, Packages
from keras_rnnkit.runs.recurrent import CELLS
from keras_rnnkit.settings import SettingsError


@dataclass(frozen=True)
class TrainingSettings:
    """Model, training and files

    Each field is an option of the command.
    """

    cell: Annotated[str, f"One of {', '.join(CELLS)}."] = "gru"
    layers: Annotated[int, "Recurrent layers."] = 1
    units: Annotated[int, "Units of each layer."] = 128
    embedding: Annotated[int, "Width of a token's embedding."] = 64
    dropout: Annotated[float, "Dropout rate of the inputs of the layers and of the output."] = 0.0
    epochs: Annotated[int, "Passes over the training data."] = 10
    optimizer: Annotated[Literal["sgd", "adam", "adamw", "rmsprop"], "The optimizer."] = "adam"
    learning_rate: Annotated[float, "Learning rate."] = 3e-3
    schedule: Annotated[
        Literal["constant", "halving", "cosine", "plateau"],
        "How the learning rate falls; plateau: after an epoch without improvement.",
    ] = "constant"
    after: Annotated[int, "The last epoch with the full rate, for halving."] = 4
    factor: Annotated[float, "What the rate is multiplied by each time, for halving and plateau."] = 0.5
    warmup: Annotated[int, "Steps in which the rate rises at the beginning."] = 0
    clip: Annotated[float, "Largest norm of the whole gradient; 0 for none."] = 1.0
    average: Annotated[float, "Evaluate weights averaged with this momentum, such as 0.999; 0 for no average."] = 0.0
    patience: Annotated[int, "Epochs without improvement before training ends; 0 for never."] = 0
    mixed: Annotated[bool, "Compute in bfloat16."] = False
    seed: Annotated[int, "Seed of all random numbers."] = 0
    threads: Annotated[int, "Threads of one operator; 0 for all cores. 1 is often faster up to 128 units."] = 0
    out: Annotated[Path, "Folder for the bundle, the report and the checkpoint."] = Path("exported/model")
    resume: Annotated[bool, "Continue from the checkpoint in that folder."] = False

    MAY_DIFFER: ClassVar[tuple[str, ...]] = ("out", "resume", "epochs", "patience", "threads")
    """Settings that may differ from those of the checkpoint."""

    COUNTS: ClassVar[tuple[str, ...]] = ("layers", "units", "embedding", "epochs")
    """Settings that must be 1 or more."""

    FRACTIONS: ClassVar[tuple[str, ...]] = ("dropout", "average")
    """Settings that must be from 0 to below 1."""

    def __post_init__(self):
        if self.cell not in CELLS:
            raise SettingsError(f"Received: cell={self.cell!r}. Expected one of {', '.join(CELLS)}.")
        for name in self.COUNTS:
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} must be 1 or more. Received: {name}={getattr(self, name)}.")
        for name in self.FRACTIONS:
            if not 0 <= getattr(self, name) < 1:
                raise SettingsError(
                    f"{name} must be a fraction from 0 to below 1. Received: {name}={getattr(self, name)}."
                )

    @property
    def packages(self) -> Packages:
        """The packages that a run with these settings needs, by the extra that installs them."""
        return TRAINING

    @property
    def best(self) -> Path:
        """The file of the best weights."""
        return self.out / "best.npz"

    @property
    def as_json(self) -> dict[str, Any]:
        """All settings as JSON has them."""
        return {k: str(v) if isinstance(v, Path) else v for k, v in dataclasses.asdict(self).items()}

    @property
    def of_checkpoint(self) -> dict[str, Any]:
        """The settings that must be those of the checkpoint."""
        return {k: v for k, v in self.as_json.items() if k not in self.MAY_DIFFER}


@dataclass(frozen=True)
class PairSettings(TrainingSettings):
    """Sequences to sequences"""

    layers: Annotated[int, "Recurrent layers of the decoder."] = 1
    feeding: Annotated[bool, "Feed what each step attended to into the next one (input feeding)."] = False
    sampling: Annotated[
        float,
        "How often the decoder reads its own tokens, from the second epoch on (scheduled sampling).",
    ] = 0.0
    smoothing: Annotated[float, "Label smoothing."] = 0.0
    schedule: Annotated[
        Literal["constant", "halving", "cosine", "plateau"],
        "How the learning rate falls; plateau: after an epoch without improvement.",
    ] = "cosine"
    beam: Annotated[int, "Hypotheses of the exported beam search."] = 5
    penalty: Annotated[float, "Its length penalty; 0.6 to 1 is common."] = 0.0
    checkpoint_every: Annotated[int, "Batches between checkpoints."] = 500
    saved_model: Annotated[bool, "Write a SavedModel too."] = True

    MAY_DIFFER = (*TrainingSettings.MAY_DIFFER, "checkpoint_every", "beam", "penalty", "saved_model")
    COUNTS = (*TrainingSettings.COUNTS, "beam")
    FRACTIONS = (*TrainingSettings.FRACTIONS, "sampling", "smoothing")

    BY_DATA: ClassVar[dict[str, tuple[Any, Any]]] = {}
    """Defaults of settings that were left out: for the built-in data, and for a user's own data."""

    def __post_init__(self):
        for name, values in self.BY_DATA.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, values[self.own_data])
        super().__post_init__()

    @property
    def own_data(self) -> bool:
        """Whether the user gave data."""
        return False

    @property
    def packages(self) -> Packages:
        return {**super().packages, "translate": ("sacrebleu",)}

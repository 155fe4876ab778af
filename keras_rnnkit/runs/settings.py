"""The settings that pipelines share."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from keras_rnnkit.runs.adoption import adopted, is_lone_bundle, run_folder_of
from keras_rnnkit.runs.limits import (
    BETWEEN,
    COUNT,
    FRACTION,
    NOT_NEGATIVE,
    POSITIVE,
    check_choices,
    check_numbers,
)
from keras_rnnkit.runs.packages import TRAINING, Packages
from keras_rnnkit.runs.recurrent import CELLS
from keras_rnnkit.settings import SettingsError


@dataclass(frozen=True)
class RunSettings:
    """The run

    Each field is an option of the command.
    """

    out: Annotated[Path, "Folder of the run: bundle, report, log and checkpoint."] = Path("exported/model")
    resume: Annotated[bool, "Continue the run in the folder --out after an interruption."] = False
    overwrite: Annotated[bool, "Replace the run in the folder --out."] = False
    continue_from: Annotated[
        Path | None, "Begin with the best weights and the vocabulary of the run in this folder, on other data."
    ] = None
    evaluate: Annotated[
        Path | None,
        "Judge the run in this folder, or its bundle, without training. Settings that are left out are those of that "
        "run; the report goes to its folder evaluation. Of a bundle without its run, the settings must be given again.",
    ] = None
    find_rate: Annotated[
        bool, "Plot the loss against the learning rate, and end; the report goes to the folder find_rate of --out."
    ] = False
    profile: Annotated[
        bool, "Show in the report what the time of training is spent on, and trace some batches for TensorBoard."
    ] = False
    smoke: Annotated[
        bool, "Try every stage in seconds, with a tiny model on little data. The model learns nothing."
    ] = False
    seed: Annotated[int, "Seed of all random numbers."] = 0
    tensorboard: Annotated[bool, "Write the logs for TensorBoard too, into the folder tensorboard of the run."] = False
    threads: Annotated[int, "Threads of one operation; 0 for all cores. Up to 128 units, 1 is often faster."] = 0
    distribute: Annotated[
        Literal["mirrored", "workers", "ray"] | None,
        "Train on all GPUs of this machine, on several workers, or on the machines of a Ray cluster. All pipelines but "
        "glimpses and gradient_flow have it.",
    ] = None
    workers: Annotated[
        str | None,
        "Addresses host:port of all workers, separated by commas; otherwise those of TF_CONFIG. With ray: how many.",
    ] = None
    index: Annotated[int | None, "The place of this machine in the list of --workers, from 0."] = None

    MAY_DIFFER: ClassVar[tuple[str, ...]] = (
        "out",
        "resume",
        "overwrite",
        "continue_from",
        "evaluate",
        "find_rate",
        "profile",
        "tensorboard",
        "threads",
        "distribute",
        "workers",
        "index",
    )
    """Settings that may differ from those of the checkpoint."""

    OWN: ClassVar[tuple[str, ...]] = MAY_DIFFER
    """Settings that --evaluate does not take over from the run that it judges."""

    JUDGES_BUNDLES: ClassVar[bool] = False
    """Whether --evaluate can judge a bundle alone, without the folder of its run."""

    SMOKE: ClassVar[dict[str, Any]] = {}
    """What --smoke sets, where a setting has not been chosen."""

    COUNTS: ClassVar[tuple[str, ...]] = ()
    """Settings that must be 1 or more."""

    FRACTIONS: ClassVar[tuple[str, ...]] = ()
    """Settings that must be from 0 to below 1."""

    POSITIVE: ClassVar[tuple[str, ...]] = ()
    """Settings that must be above 0."""

    NOT_NEGATIVE: ClassVar[tuple[str, ...]] = ("seed", "threads")
    """Settings that must be 0 or more."""

    def __post_init__(self):
        self.adopt()
        for field in fields(self):
            if self.smoke and field.name in self.SMOKE and getattr(self, field.name) == field.default:
                object.__setattr__(self, field.name, self.SMOKE[field.name])
        check_choices(self)
        limits = {"COUNTS": COUNT, "FRACTIONS": FRACTION, "POSITIVE": POSITIVE, "NOT_NEGATIVE": NOT_NEGATIVE}
        for names, limit in limits.items():
            check_numbers(self, getattr(self, names), limit)
        if self.resume and self.overwrite:
            raise SettingsError("--resume continues a run and --overwrite replaces it. Choose one of them.")
        self.check_purpose()

    def adopt(self) -> None:
        """Take over the settings of the run that is judged. Settings that depend on others call it first."""
        if self.evaluate is None:
            return
        if self.bundle is not None:
            changes, out = {}, self.bundle.with_name(f"{self.bundle.name}_evaluation")
        else:
            folder = run_folder_of(self.evaluate)
            changes, out = adopted(self, folder, self.OWN), folder / "evaluation"
        if self.out == type(self).out:
            changes["out"] = out
        for name, value in changes.items():
            object.__setattr__(self, name, value)

    @property
    def bundle(self) -> Path | None:
        """The bundle that --evaluate judges alone, by the settings that were given; None where there is a run."""
        alone = self.evaluate is not None and self.JUDGES_BUNDLES and is_lone_bundle(self.evaluate)
        return self.evaluate if alone else None

    def check_purpose(self) -> None:
        """Refuse options that ask for different things, and give --find-rate a folder of its own."""
        purposes = {"evaluate": self.evaluate is not None, "find_rate": self.find_rate}
        changes = {"resume": self.resume, "continue_from": self.continue_from is not None, "profile": self.profile}
        for purpose, asked in purposes.items():
            other = next((name for name, value in {**changes, **purposes}.items() if value and name != purpose), None)
            if asked and other is not None:
                raise SettingsError(f"{option(purpose)} does not train, so {option(other)} cannot go with it.")
        if self.find_rate and self.out.name != "find_rate":
            object.__setattr__(self, "out", self.out / "find_rate")

    @property
    def packages(self) -> Packages:
        """The packages that a run with these settings needs, by the extra that installs them."""
        return {**TRAINING, **({"tensorboard": ("tensorboard",)} if self.tensorboard else {})}

    @property
    def as_json(self) -> dict[str, Any]:
        """All settings as JSON has them."""
        return {k: str(v) if isinstance(v, Path) else v for k, v in dataclasses.asdict(self).items()}

    @property
    def of_checkpoint(self) -> dict[str, Any]:
        """The settings that must be those of the checkpoint."""
        return {k: v for k, v in self.as_json.items() if k not in self.MAY_DIFFER}


def option(name: str) -> str:
    """The option of the command that sets a field."""
    return "--" + name.replace("_", "-")


@dataclass(frozen=True)
class TrainingSettings(RunSettings):
    """Model and training

    Each field is an option of the command.
    """

    cell: Annotated[str, f"One of {', '.join(CELLS)}."] = "gru"
    layers: Annotated[int, "Recurrent layers."] = 1
    units: Annotated[int, "Units of each layer."] = 128
    embedding: Annotated[int, "Width of a token's embedding."] = 64
    dropout: Annotated[float, "Dropout rate of the inputs of the layers and of the output."] = 0.0
    epochs: Annotated[int, "Passes over the training data."] = 10
    steps_per_epoch: Annotated[
        int | None,
        "Batches of an epoch, where all of the data would take too long; the next epoch continues there. Default: all.",
    ] = None
    optimizer: Annotated[Literal["sgd", "adam", "adamw", "rmsprop"], "The optimizer."] = "adam"
    learning_rate: Annotated[float, "Learning rate."] = 3e-3
    schedule: Annotated[
        Literal["constant", "halving", "cosine", "plateau"],
        "How the learning rate falls; with plateau, after an epoch without improvement.",
    ] = "constant"
    after: Annotated[int, "The last epoch with the full learning rate, for halving."] = 4
    factor: Annotated[float, "What the learning rate is multiplied by each time, for halving and plateau."] = 0.5
    warmup: Annotated[int, "Steps in which the learning rate rises at the beginning."] = 0
    clip: Annotated[float, "Largest norm of the whole gradient; 0 for none."] = 1.0
    average: Annotated[
        float, "Evaluate a running average of the weights with this momentum, such as 0.999; 0 for no average."
    ] = 0.0
    patience: Annotated[int, "Epochs without improvement before training ends; 0 for never."] = 0
    mixed: Annotated[bool, "Compute in mixed precision, with bfloat16."] = False

    MAY_DIFFER: ClassVar[tuple[str, ...]] = (*RunSettings.MAY_DIFFER, "epochs", "patience")
    COUNTS: ClassVar[tuple[str, ...]] = ("layers", "units", "embedding", "epochs", "steps_per_epoch")
    FRACTIONS: ClassVar[tuple[str, ...]] = ("dropout", "average")
    POSITIVE: ClassVar[tuple[str, ...]] = ("learning_rate",)
    NOT_NEGATIVE: ClassVar[tuple[str, ...]] = (*RunSettings.NOT_NEGATIVE, "after", "warmup", "clip", "patience")

    def __post_init__(self):
        super().__post_init__()
        if self.cell not in CELLS:
            raise SettingsError(f"Received: cell={self.cell!r}. Expected one of {', '.join(CELLS)}.")
        if self.schedule in ("halving", "plateau"):
            check_numbers(self, ["factor"], BETWEEN)

    @property
    def best(self) -> Path:
        """The file of the best weights."""
        return self.out / "best.npz"

    @property
    def of_checkpoint(self) -> dict[str, Any]:
        # A cosine falls to zero at the last epoch, so with another number of epochs its rate would jump.
        epochs = {"epochs": self.epochs} if self.schedule == "cosine" else {}
        return super().of_checkpoint | epochs


@dataclass(frozen=True)
class WritingSettings(TrainingSettings):
    """Samples"""

    sample_every: Annotated[
        float, "Minutes of training between two samples of what the model writes, into samples.txt; 0 for none."
    ] = 0.0

    MAY_DIFFER: ClassVar[tuple[str, ...]] = (*TrainingSettings.MAY_DIFFER, "sample_every")
    NOT_NEGATIVE: ClassVar[tuple[str, ...]] = (*TrainingSettings.NOT_NEGATIVE, "sample_every")


@dataclass(frozen=True)
class PairSettings(WritingSettings):
    """Decoder and bundle"""

    layers: Annotated[int, "Recurrent layers of the decoder."] = 1
    feeding: Annotated[bool, "Feed what each step attended to into the next one (input feeding)."] = False
    sampling: Annotated[
        float,
        "How often the decoder reads its own tokens, from the second epoch on (scheduled sampling).",
    ] = 0.0
    smoothing: Annotated[float, "Label smoothing."] = 0.0
    schedule: Annotated[
        Literal["constant", "halving", "cosine", "plateau"],
        "How the learning rate falls; with plateau, after an epoch without improvement.",
    ] = "cosine"
    beam: Annotated[int, "Number of hypotheses of the exported beam search."] = 5
    penalty: Annotated[float, "Length penalty of the beam search; 0.6 to 1 is common, 0 is none."] = 0.0
    checkpoint_every: Annotated[int, "Batches between checkpoints."] = 500
    saved_model: Annotated[bool, "Write a SavedModel too."] = True

    MAY_DIFFER: ClassVar[tuple[str, ...]] = (
        *WritingSettings.MAY_DIFFER,
        "checkpoint_every",
        "beam",
        "penalty",
        "saved_model",
    )
    COUNTS: ClassVar[tuple[str, ...]] = (*TrainingSettings.COUNTS, "beam", "checkpoint_every")
    FRACTIONS: ClassVar[tuple[str, ...]] = (*TrainingSettings.FRACTIONS, "sampling", "smoothing")
    NOT_NEGATIVE: ClassVar[tuple[str, ...]] = (*WritingSettings.NOT_NEGATIVE, "penalty")

    BY_DATA: ClassVar[dict[str, tuple[Any, Any]]] = {}
    """Defaults of settings that were left out: for the built-in data, and for a user's own data."""

    def __post_init__(self):
        self.adopt()
        for name, values in self.BY_DATA.items():
            if getattr(self, name) is None and not (self.smoke and name in self.SMOKE):
                object.__setattr__(self, name, values[self.own_data])
        super().__post_init__()

    @property
    def own_data(self) -> bool:
        """Whether the user gave data."""
        return False

    @property
    def packages(self) -> Packages:
        return {**super().packages, "translate": ("sacrebleu",)}


def suffix_of(way: str, settings: Any) -> str:
    """What names of files end with, where a run trains models in several ways: nothing for the way of `--way`."""
    return "" if way == settings.way else f"_{way}"

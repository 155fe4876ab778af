"""What the measurements can be told; each field with a text is an option of the command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from keras_rnnkit.settings import SettingsError


@dataclass(frozen=True)
class ExportBench:
    """Settings of `rnnkit bench export`."""

    batch: Annotated[int, "Rows."] = 1
    steps: Annotated[int, "Steps of each row."] = 100
    features: Annotated[int, "Features of each step."] = 32
    units: Annotated[int, "Units of each layer."] = 64
    threads: Annotated[int, "Threads of onnxruntime."] = 1
    repeats: Annotated[int, "Runs of each graph; they take turns."] = 50
    only: Annotated[str, "Only the rows whose name has this in it."] = ""
    json: Annotated[Path | None, "Write the rows and the machine to this file too."] = None


@dataclass(frozen=True)
class ServeBench:
    """Settings of `rnnkit bench serve`."""

    bundle: Annotated[Path, "A bundle with a step graph."]
    seconds: Annotated[float, "Of each measurement."] = 3.0
    connections: Annotated[str, "How many clients at once, with commas."] = "1,16,64"
    memory: Annotated[bool, "Then send 100,000 requests and look at the server's memory."] = False
    json: Annotated[Path | None, "Write the rows and the machine to this file too."] = None

    def __post_init__(self):
        if not all(count.strip().isdigit() and int(count) > 0 for count in self.connections.split(",")):
            raise SettingsError(
                f"connections are numbers with commas, such as 1,16,64. Received: {self.connections!r}."
            )

    @property
    def counts(self) -> list[int]:
        return [int(count) for count in self.connections.split(",")]


@dataclass(frozen=True)
class TranslateBench:
    """Settings of `rnnkit bench translate`."""

    batch: Annotated[int, "Sources side by side."] = 1
    steps: Annotated[int, "Tokens of a source, and tokens written."] = 30
    units: Annotated[int, "Units of encoder and decoder."] = 128
    beam: Annotated[int, "Hypotheses."] = 5
    attention: Annotated[bool, "With attention."] = True
    repeats: Annotated[int, "Runs of each way; they take turns."] = 20
    json: Annotated[Path | None, "Write the times and the machine to this file too."] = None

    def __post_init__(self):
        for name in ("batch", "steps", "units", "beam", "repeats"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} is 1 or more. Received: {name}={getattr(self, name)}.")


@dataclass(frozen=True)
class WebBench:
    """Settings of `rnnkit bench web`."""

    units: Annotated[int, "Units of the GRU."] = 128
    features: Annotated[int, "Features of each step."] = 32
    blocks: Annotated[int, "Blocks of 20 steps; the result is the median of their means."] = 200
    ort: Annotated[
        Path | None, "The npm package onnxruntime-web. Default: the page fetches it from a public network."
    ] = None
    browser: Annotated[Path | None, "The program of a browser like Chromium. Default: the first that is installed."] = (
        None
    )

    def __post_init__(self):
        for name in ("units", "features", "blocks"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} must be 1 or more. Received: {name}={getattr(self, name)}.")


@dataclass(frozen=True)
class TrainBench:
    """Settings of `rnnkit bench train`."""

    only: Annotated[str, "Only the rows whose name contains this, for example 'LSTM' or 'B=1'."] = ""
    repeats: Annotated[int, "Turns; in each turn every contender runs once."] = 30
    quick: Annotated[bool, "Tiny shapes and three turns: shows that every row runs; the times mean nothing."] = False
    cells: Annotated[bool, "Compare the cells with each other instead, at up to 4,096 steps, and their streams."] = (
        False
    )
    resume: Annotated[bool, "With --cells: measure only what the file of --json lacks."] = False
    loops: Annotated[bool, "Also time our layers with the graph loop, where they take the compiled one."] = False
    others: Annotated[bool, "Also time torch and plain JAX, where they are installed."] = True
    jit: Annotated[bool, "XLA compiles the whole step, as jit_compile=True asks for."] = False
    memory: Annotated[bool, "Also time and weigh memory='checkpoint' with sequences of 1024 steps."] = False
    dtype: Annotated[str, "float32, or a policy such as mixed_bfloat16 to compare with float32."] = "float32"
    json: Annotated[Path | None, "Write the rows and the machine to this file too."] = None
    chart: Annotated[Path | None, "Draw the ratios to stock Keras as bars into this file (.svg or .png)."] = None

    def __post_init__(self):
        if self.repeats < 1:
            raise SettingsError(f"repeats must be 1 or more. Received: repeats={self.repeats}.")
        if self.resume and not (self.cells and self.json):
            raise SettingsError("--resume continues the file of --json with --cells, so it needs both of them.")


@dataclass(frozen=True)
class DistributeBench:
    """Settings of `rnnkit bench distribute`."""

    sizes: Annotated[str, "Units of the models, with commas."] = "64,128,256,512"
    rows: Annotated[int, "Rows of each worker."] = 32
    steps: Annotated[int, "Steps of each row."] = 50
    repeats: Annotated[int, "Steps that are timed."] = 20

    def __post_init__(self):
        if not all(size.strip().isdigit() and int(size) > 0 for size in self.sizes.split(",")):
            raise SettingsError(f"sizes must be numbers with commas, such as 64,256. Received: {self.sizes!r}.")
        for name in ("rows", "steps", "repeats"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} must be 1 or more. Received: {name}={getattr(self, name)}.")

"""One translation in four ways: a loop over the Keras decoder, a loop over step.onnx, and generate.onnx."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

import keras_rnnkit as rk
from keras_rnnkit.bench.settings import TranslateBench
from keras_rnnkit.decoding import Beam, align
from keras_rnnkit.export.saving.files import write
from keras_rnnkit.ops import keras as kops
from keras_rnnkit.seq2seq import Memory
from keras_rnnkit.timing import Times, machine, side_by_side

TOKENS = 60


def run(settings: TranslateBench, tell: Callable[[str], Any] = lambda stage: None) -> dict[str, Times]:
    """The times of each way, all of them of the same sources and as many tokens."""
    tell("exporting")
    model = model_of(settings)
    source = np.random.default_rng(0).integers(4, TOKENS, size=(settings.batch, settings.steps)).astype("int32")
    strategy = Beam(settings.beam)
    with tempfile.TemporaryDirectory() as folder:
        rk.export_bundle(model, Path(folder) / "bundle", strategy=strategy, saved_model=False)
        bundle = rk.runtime.load(Path(folder) / "bundle")
        rows = list(source)
        ways: dict[str, Callable[[], object]] = {
            "Keras decoder, as it is called": lambda: by_keras(model, source, strategy, settings.steps),
            "Keras decoder, as a graph": lambda: model.translate(source, strategy, settings.steps),
            "step.onnx, a NumPy loop": lambda: bundle.translate(rows, settings.steps, strategy=strategy),
            "generate.onnx, one run": lambda: bundle.translate(rows, settings.steps),
        }
        tell("measuring")
        found = dict(zip(ways, side_by_side(*ways.values(), repeats=settings.repeats, warm=2), strict=True))
    if settings.json:
        rows_of = {name: times._asdict() for name, times in found.items()}
        known = {"machine": machine("keras", "tensorflow", "onnxruntime"), "ways": rows_of}
        write(settings.json, json.dumps(known, indent=2).encode())
    return found


def model_of(settings: TranslateBench):
    """Untrained, and with an end that it never writes, so that all ways write as many tokens."""
    keras.utils.set_random_seed(0)
    encoder = rk.Encoder(rk.Bidirectional(rk.GRU(settings.units)), TOKENS, 64)
    attention = rk.attention.General() if settings.attention else None
    model = rk.Seq2Seq(encoder, rk.Decoder(rk.GRU(settings.units), TOKENS, 64, attention=attention))
    model((np.full((1, 2), 4), np.full((1, 2), 4)))
    bias = np.zeros(TOKENS, "float32")
    bias[model.end] = -30.0
    model.decoder.score.bias.assign(bias)
    return model


def by_keras(model, source: np.ndarray, strategy: Beam, steps: int) -> Any:
    """The loop that one writes first: the layers called token after token."""
    memory, states = model.reading(keras.ops.convert_to_tensor(source))
    first = model.decoder.step(keras.ops.full((len(source),), model.begin, dtype="int32"), states, memory)
    wide = Memory(*(None if x is None else keras.ops.repeat(x, strategy.rows, axis=0) for x in memory))

    def step(tokens, states):
        return model.decoder.step(keras.ops.cast(tokens, "int32"), states, wide)

    return align(kops, step, first, strategy, steps, None, model.end)


def lines(found: dict[str, Times], settings: TranslateBench) -> list[str]:
    """A table, and the machine below it."""
    fastest = found["generate.onnx, one run"].median
    width = max(map(len, found))
    what = f"{settings.batch} source(s) of {settings.steps} tokens, {settings.steps} written, beam {settings.beam}, "
    what += f"GRU({settings.units}){', attention' if settings.attention else ''}"
    rows = [f"{name.ljust(width)}  {times!s:32}  {times.median / fastest:5.2f}" for name, times in found.items()]
    return [
        what,
        f"{'way'.ljust(width)}  {'a run':32}  times generate.onnx",
        *rows,
        machine("keras", "tensorflow", "onnxruntime"),
    ]

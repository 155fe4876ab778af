"""`rnnkit bench train --cells`: the cells beside each other, in training and step by step."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

import keras_rnnkit as rk
from keras_rnnkit.bench.settings import TrainBench
from keras_rnnkit.bench.train import fair_turns, where
from keras_rnnkit.bench.train_rows import Shape
from keras_rnnkit.bench.train_steps import gradient_step
from keras_rnnkit.timing import Times, side_by_side

UNITS = 256
SHAPES = [Shape(batch, steps, UNITS, UNITS) for steps in (64, 256, 1024, 4096) for batch in (1, 16)]
QUICK = [Shape(2, 18, 8, 8)]
MOST_STEPS = 30_000
"""Steps times rows that one contender runs in all turns of a shape together, so that long shapes take few turns."""


def of(cell: Callable[..., Any]) -> Callable[[int], Any]:
    return lambda units: rk.Recurrent(cell(units), return_sequences=True)


CONTENDERS: dict[str, Callable[[int], Any]] = {
    "stock LSTM": lambda units: keras.layers.LSTM(units, return_sequences=True),
    "stock GRU": lambda units: keras.layers.GRU(units, return_sequences=True),
    "LSTM": lambda units: rk.LSTM(units, return_sequences=True),
    "GRU": lambda units: rk.GRU(units, return_sequences=True),
    "sLSTM": of(rk.cells.SLSTMCell),
    "IndRNN": of(rk.cells.IndRNNCell),
    "minGRU": of(rk.cells.MinGRUCell),
    "minLSTM": of(rk.cells.MinLSTMCell),
    "QRNN": of(rk.cells.QRNNCell),
    "SRU": of(rk.cells.SRUCell),
    "SRU, linear": of(lambda units: rk.cells.SRUCell(units, state_gates=False)),
    "LRU": of(lambda units: rk.cells.LRUCell(units, state_units=units // 2)),
    "RG-LRU": of(rk.cells.RGLRUCell),
}
BASE = "stock LSTM"


@dataclass(frozen=True)
class CellTimes:
    """One shape. times: milliseconds of a training step for each contender."""

    shape: str
    times: dict[str, Times]


@dataclass(frozen=True)
class Result:
    """weights: how many numbers each cell learns. stream: milliseconds of a step of the exported stream."""

    machine: str
    load: float
    rows: list[CellTimes]
    weights: dict[str, int]
    stream: dict[str, Times]


def run(settings: TrainBench, tell: Callable[[str], Any] = lambda stage: None) -> Result:
    load, rows = os.getloadavg()[0], []
    names = [name for name in CONTENDERS if name == BASE or settings.only in name]
    for shape in QUICK if settings.quick else SHAPES:
        tell(str(shape))
        steps = {name: training_step(CONTENDERS[name], shape).run for name in names}
        turns = max(3, min(settings.repeats, MOST_STEPS // (shape.batch * shape.steps)))
        rows.append(CellTimes(str(shape), fair_turns(steps, turns)))
    tell("step by step")
    units = QUICK[0].units if settings.quick else UNITS
    weights = {name: built(CONTENDERS[name], units).count_params() for name in names}
    result = Result(where(), load, rows, weights, streams(names, units, 20 if settings.quick else 2000))
    if settings.json:
        temporary = settings.json.with_suffix(".part")
        temporary.write_text(json.dumps(asdict(result), indent=2), encoding="utf-8")
        temporary.replace(settings.json)
    return result


def built(make, units: int):
    layer = make(units)
    layer.build((None, None, units))
    return layer


def training_step(make, shape: Shape):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(shape.batch, shape.steps, shape.features)).astype("float32")
    upstream = rng.normal(size=(shape.batch, shape.steps, shape.units)).astype("float32")
    return gradient_step(built(make, shape.units), x, upstream, None)


def streams(names: list[str], units: int, repeats: int) -> dict[str, Times]:
    """A step of one row in onnxruntime on one thread, for each cell."""
    with tempfile.TemporaryDirectory() as folder:
        runs = [stream_step(name, units, Path(folder)) for name in names]
        return dict(zip(names, side_by_side(*runs, repeats=repeats), strict=True))


def stream_step(name: str, units: int, folder: Path) -> Callable[[], object]:
    import onnxruntime

    file = folder / f"{name.replace(' ', '_')}.onnx"
    model = keras.Sequential([keras.Input((None, units)), CONTENDERS[name](units)])
    rk.export_onnx(model, file, mode="stream", verify=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options)
    feeds = {
        i.name: np.zeros([1 if isinstance(n, str) or n is None else n for n in i.shape], "float32")
        for i in session.get_inputs()
    }
    return lambda: session.run(None, feeds)


def lines(result: Result) -> Iterator[str]:
    """The result as a table of text: how many times faster than stock Keras' LSTM, and the times."""
    for row in result.rows:
        yield row.shape
        for name, times in row.times.items():
            yield f"  {name:<12} {times!s:<34} {row.times[BASE].median / times.median:6.2f}x of {BASE}"
    yield "a step of a stream, one row, one thread of onnxruntime"
    for name, times in result.stream.items():
        ratio = times.median / result.stream[BASE].median
        yield f"  {name:<12} {times!s:<34} {ratio:6.2f} of {BASE}'s time; {result.weights[name]:,} weights"
    yield f"medians (10th to 90th percentile); the load was {result.load:.1f} at the start"
    yield result.machine

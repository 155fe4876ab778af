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
from keras_rnnkit.bench import activation_memory
from keras_rnnkit.bench.settings import TrainBench
from keras_rnnkit.bench.train import fair_turns, where
from keras_rnnkit.bench.train_rows import Shape
from keras_rnnkit.bench.train_steps import gradient_step
from keras_rnnkit.timing import Times, side_by_side

UNITS = 256
SHAPES = [Shape(batch, steps, UNITS, UNITS) for steps in (64, 256, 1024, 4096) for batch in (1, 16)]
QUICK = [Shape(2, 18, 8, 8)]
WEIGHED = (64, 256, UNITS, UNITS)
"""Rows, steps, features and units of the training step whose memory is taken.

With fewer rows the arrays of a step are so small that the allocator keeps them, and a loop seems to need no memory.
"""
KERNELS = Shape(16, 1024, UNITS, UNITS)
"""The shapes at which minGRU runs on the kernel `parallel` and on the plain loop, to compare them."""
WHOLE = 1000
"""Steps of the whole sequence that an exported file runs."""
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
    "mLSTM": of(rk.cells.MLSTMCell),
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
    """What was measured.

    weights: how many numbers each cell learns. stream: milliseconds of a step of the exported stream. whole: those of
    an exported sequence of `WHOLE` steps. memory: MB of a training step of the shape `WEIGHED`. kernels: milliseconds
    of a training step of minGRU on each kernel.
    """

    machine: str
    load: float
    rows: list[CellTimes]
    weights: dict[str, int]
    stream: dict[str, Times]
    whole: dict[str, Times]
    memory: dict[str, float]
    kernels: dict[str, Times]


def run(settings: TrainBench, tell: Callable[[str], Any] = lambda stage: None) -> Result:
    load, rows = os.getloadavg()[0], []
    names = [name for name in CONTENDERS if name == BASE or settings.only in name]
    for shape in QUICK if settings.quick else SHAPES:
        tell(str(shape))
        steps = {name: training_step(CONTENDERS[name], shape).run for name in names}
        turns = max(3, min(settings.repeats, MOST_STEPS // (shape.batch * shape.steps)))
        rows.append(CellTimes(str(shape), fair_turns(steps, turns)))
    tell("exported")
    units, quick = QUICK[0].units if settings.quick else UNITS, settings.quick
    weights = {name: built(CONTENDERS[name], units).count_params() for name in names}
    stream, whole = exported(names, units, 20 if quick else 2000, 3 if quick else 30)
    tell("memory")
    memory = {name: megabytes(name, (2, 18, 8, 8) if quick else WEIGHED) for name in names}
    tell("kernels")
    kernels = both_kernels(QUICK[0] if quick else KERNELS, 3)
    result = Result(where(), load, rows, weights, stream, whole, memory, kernels)
    if settings.json:
        temporary = settings.json.with_suffix(".part")
        temporary.write_text(json.dumps(asdict(result), indent=2), encoding="utf-8")
        temporary.replace(settings.json)
    return result


def megabytes(name: str, sizes: tuple[int, ...]) -> float:
    return activation_memory.megabytes(f"__import__({__name__!r}, fromlist='_').CONTENDERS[{name!r}](units)", sizes)


def both_kernels(shape: Shape, turns: int) -> dict[str, Times]:
    """A training step of minGRU by its own kernel and by the plain loop over time."""

    def on(kernel: str):
        cell = rk.cells.MinGRUCell
        return training_step(lambda units: rk.Recurrent(cell(units), kernel=kernel, return_sequences=True), shape).run

    return fair_turns({kernel: on(kernel) for kernel in ("parallel", "scan")}, turns, warm=1)


def built(make, units: int):
    layer = make(units)
    layer.build((None, None, units))
    return layer


def training_step(make, shape: Shape):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(shape.batch, shape.steps, shape.features)).astype("float32")
    upstream = rng.normal(size=(shape.batch, shape.steps, shape.units)).astype("float32")
    return gradient_step(built(make, shape.units), x, upstream, None)


def exported(names: list[str], units: int, repeats: int, whole_repeats: int):
    """A step of a stream, and a whole sequence, for each cell: one row in onnxruntime on one thread."""
    with tempfile.TemporaryDirectory() as folder:
        steps = [onnx_run(name, units, Path(folder), "stream", 1) for name in names]
        sequences = [onnx_run(name, units, Path(folder), "sequence", WHOLE) for name in names]
        stream = dict(zip(names, side_by_side(*steps, repeats=repeats), strict=True))
        return stream, dict(zip(names, side_by_side(*sequences, repeats=whole_repeats), strict=True))


def onnx_run(name: str, units: int, folder: Path, mode: str, steps: int) -> Callable[[], object]:
    import onnxruntime

    file = folder / f"{name.replace(' ', '_')}_{mode}.onnx"
    model = keras.Sequential([keras.Input((None, units), name="x"), CONTENDERS[name](units)])
    rk.export_onnx(model, file, mode=mode, verify=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options)
    feeds = {i.name: np.zeros(free_sizes(i.shape, steps), "float32") for i in session.get_inputs()}
    return lambda: session.run(None, feeds)


def free_sizes(shape, steps: int) -> list[int]:
    """The shape of one row; an array with three axes has steps."""
    return [n if isinstance(n, int) else steps if axis == 1 else 1 for axis, n in enumerate(shape)]


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
    yield f"a sequence of {WHOLE} steps, one row, one thread of onnxruntime"
    for name, times in result.whole.items():
        yield f"  {name:<12} {times!s:<34} {result.whole[BASE].median / times.median:6.2f}x of {BASE}"
    yield "memory of a training step"
    for name, megabytes_of in result.memory.items():
        yield f"  {name:<12} {megabytes_of:8.1f} MB, {megabytes_of / result.memory[BASE]:.2f} of {BASE}'s"
    parallel, scan = result.kernels["parallel"], result.kernels["scan"]
    yield f"minGRU on its kernel {parallel}, on the plain loop {scan}: {scan.median / parallel.median:.1f}x"
    yield f"medians (10th to 90th percentile); the load was {result.load:.1f} at the start"
    yield result.machine

"""`rnnkit bench train --cells`: the cells beside each other, in training and step by step."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

import keras_rnnkit as rk
from keras_rnnkit.bench import activation_memory
from keras_rnnkit.bench.cell_results import BASE, CellResults
from keras_rnnkit.bench.settings import TrainBench
from keras_rnnkit.bench.train import fair_turns, where
from keras_rnnkit.bench.train_rows import Shape
from keras_rnnkit.bench.train_steps import gradient_step
from keras_rnnkit.timing import Times, side_by_side


class Sizes(NamedTuple):
    """What is measured: the shapes of training steps, and how long exported files run.

    memory: shapes whose memory is taken. kernels: shapes at which minGRU runs on the kernel `parallel` and on the
    plain loop. whole: steps of the exported sequence. stream_runs, whole_runs: how often the exported files run.
    """

    shapes: list[Shape]
    memory: list[Shape]
    kernels: list[Shape]
    whole: int
    stream_runs: int
    whole_runs: int


UNITS = 256


def full_shape(batch: int, steps: int) -> Shape:
    return Shape(batch, steps, UNITS, UNITS)


FULL = Sizes(
    shapes=[full_shape(batch, steps) for steps in (64, 256, 1024, 4096) for batch in (1, 16)],
    memory=[full_shape(16, 256), full_shape(16, 1024)],
    kernels=[full_shape(1, 1024), full_shape(16, 1024)],
    whole=1000,
    stream_runs=2000,
    whole_runs=30,
)
TINY = Shape(2, 18, 8, 8)
QUICK = Sizes([TINY], [TINY], [TINY], whole=20, stream_runs=20, whole_runs=3)
MOST_STEPS = 160_000
"""Steps times rows that one contender runs in all turns of a shape together, so that long shapes take few turns.

A step of one row counts as one of eight, because it takes about as long.
"""
FREED_AT = 8192
"""Bytes from which an array is given back to the system when it is freed: less than the state of 16 rows has."""


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


def run(settings: TrainBench, tell: Callable[[str], Any] = lambda stage: None) -> CellResults:
    """Measures one thing after the other, and writes the file of results after each."""
    file, results = settings.json, CellResults(where())
    if settings.resume and file and file.exists():
        results = CellResults.read(file, results.machine)
    results.load = max(results.load, os.getloadavg()[0])
    names = [name for name in CONTENDERS if name == BASE or settings.only in name]
    for title, measure in missing(results, names, QUICK if settings.quick else FULL, settings.repeats):
        tell(title)
        measure()
        if file:
            results.write(file)
    return results


def missing(
    results: CellResults, names: list[str], sizes: Sizes, repeats: int
) -> Iterator[tuple[str, Callable[[], None]]]:
    """The title and the function of each measurement that the results lack. A shape of all cells is one of them."""
    for s in sizes.shapes:
        if not set(names) <= results.rows.get(str(s), {}).keys():
            yield str(s), partial(measure_rows, results, names, s, repeats)
    if not set(names) <= results.stream.keys():
        yield "exported", partial(measure_exported, results, names, sizes)
    for s in sizes.memory:
        for name in names:
            if name not in results.memory.get(str(s), {}):
                yield f"memory of {name}", partial(measure_memory, results, name, s)
    for s in sizes.kernels:
        if str(s) not in results.kernels:
            yield f"kernels, {s}", partial(measure_kernels, results, s, repeats)


def measure_rows(results: CellResults, names: list[str], shape: Shape, repeats: int) -> None:
    results.rows[str(shape)] = training_times(names, shape, repeats)


def measure_memory(results: CellResults, name: str, shape: Shape) -> None:
    results.memory.setdefault(str(shape), {})[name] = megabytes(name, shape)


def measure_kernels(results: CellResults, shape: Shape, repeats: int) -> None:
    results.kernels[str(shape)] = both_kernels(shape, repeats)


def training_times(names: list[str], shape: Shape, repeats: int) -> dict[str, Times]:
    return in_turns({name: training_step(CONTENDERS[name], shape).run for name in names}, shape, repeats)


def both_kernels(shape: Shape, repeats: int) -> dict[str, Times]:
    """A training step of minGRU by its own kernel and by the plain loop over time."""

    def on(kernel: str):
        cell = rk.cells.MinGRUCell
        return training_step(lambda units: rk.Recurrent(cell(units), kernel=kernel, return_sequences=True), shape).run

    return in_turns({kernel: on(kernel) for kernel in ("parallel", "scan")}, shape, repeats)


def in_turns(steps: dict[str, Callable[[], object]], shape: Shape, repeats: int) -> dict[str, Times]:
    turns = max(3, min(repeats, MOST_STEPS // (max(shape.batch, 8) * shape.steps)))
    return fair_turns(steps, turns, warm=1)


def megabytes(name: str, shape: Shape) -> float:
    make = f"__import__({__name__!r}, fromlist='_').CONTENDERS[{name!r}](units)"
    return activation_memory.megabytes(make, shape, FREED_AT)


def measure_exported(results: CellResults, names: list[str], sizes: Sizes) -> None:
    """A step of a stream, and a whole sequence, for each cell: one row in onnxruntime on one thread."""
    units = sizes.shapes[0].units
    with tempfile.TemporaryDirectory() as folder:
        steps = [onnx_run(name, units, Path(folder), "stream", 1) for name in names]
        sequences = [onnx_run(name, units, Path(folder), "sequence", sizes.whole) for name in names]
        results.stream = dict(zip(names, side_by_side(*steps, repeats=sizes.stream_runs), strict=True))
        results.whole = dict(zip(names, side_by_side(*sequences, repeats=sizes.whole_runs), strict=True))
    results.weights = {name: built(CONTENDERS[name], units).count_params() for name in names}


def built(make, units: int):
    layer = make(units)
    layer.build((None, None, units))
    return layer


def training_step(make, shape: Shape):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(shape.batch, shape.steps, shape.features)).astype("float32")
    upstream = rng.normal(size=(shape.batch, shape.steps, shape.units)).astype("float32")
    return gradient_step(built(make, shape.units), x, upstream, None)


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

"""`rnnkit bench train`: training steps of our layers against those of stock Keras, torch and plain JAX."""

from __future__ import annotations

import importlib.metadata
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np

from keras_rnnkit.bench import activation_memory
from keras_rnnkit.bench.first_step import first_steps
from keras_rnnkit.bench.settings import TrainBench
from keras_rnnkit.bench.train_chart import draw
from keras_rnnkit.bench.train_rows import LONG, QUICK, Row, rows
from keras_rnnkit.timing import Times, machine

EXACT = 1e-5
"""Differences of gradients, as shares of the largest gradient, up to which they are taken for rounding."""

TIMES_STOCK = 3.0
"""A contender may be this many times as far from the float64 gradients as stock Keras is."""


@dataclass(frozen=True)
class Measured:
    """One row, measured. times: milliseconds of a step; errors: of gradients, from those in float64, as shares.

    refusal: why nothing was timed, because the gradients differ; empty where all is well.
    """

    name: str
    times: dict[str, Times]
    errors: dict[str, float]
    ratios: dict[str, float]
    of_gemm_rate: float | None
    refusal: str = ""


@dataclass(frozen=True)
class Result:
    """first_step: seconds of the first step of `model.fit` in a new process, for each contender.

    memory: MB at the peak of a training step over long sequences, for each contender; empty unless asked for.
    """

    machine: str
    load: float
    gemm_rate: float
    quick: bool
    repeats: int
    rows: list[Measured]
    first_step: dict[str, list[float]]
    memory: dict[str, float]


def run(settings: TrainBench, tell: Callable[[str], Any] = lambda stage: None) -> Result:
    load, repeats = os.getloadavg()[0], 3 if settings.quick else settings.repeats
    tell("the rate of a large matrix product")
    rate, measured = gemm_rate(256 if settings.quick else 2048), []
    for row in rows(settings):
        if settings.only in row.name:
            tell(row.name)
            measured.append(measure(row, repeats, rate))
    first = {}
    if settings.only in "the first step of fit":
        tell("the first step of fit")
        first = first_steps(1 if settings.quick else 3, settings.quick)
    weighed = {}
    if settings.memory:
        tell("the memory of a long sequence")
        weighed = activation_memory.of_all(QUICK if settings.quick else LONG)
    result = Result(where(), load, rate, settings.quick, repeats, measured, first, weighed)
    write_files(result, settings)
    return result


def measure(row: Row, repeats: int, rate: float) -> Measured:
    """Compares the gradients with those of stock Keras in float64, then times the contenders in turns."""
    steps = {name: make() for name, make in row.contenders.items()}
    exact = row.reference()
    errors = {name: difference(step.gradients(), exact) for name, step in steps.items()}
    refusal = refusal_of(row.name, errors)
    if refusal:
        return Measured(row.name, {}, errors, {}, None, refusal)
    runs = {name: step.run for name, step in steps.items()}
    times = {name: divided(t, row.per) for name, t in fair_turns(runs, repeats).items()}
    ratios = {name: times["stock"].median / t.median for name, t in times.items() if name != "stock"}
    share = row.flops / (times["ours"].median * 1e-3) / rate if row.flops else None
    return Measured(row.name, times, errors, ratios, share)


def refusal_of(row: str, errors: dict[str, float]) -> str:
    """Why nothing is timed; empty where all gradients are right up to rounding."""
    limit = max(EXACT, TIMES_STOCK * errors["stock"])
    wrong = {name: error for name, error in errors.items() if name != "stock" and not error <= limit}
    if not wrong:
        return ""
    shares = ", ".join(f"{name} by {error:.1e}" for name, error in wrong.items())
    return (
        f"{row}: gradients differ from those in float64 ({shares} of the largest; stock Keras by "
        f"{errors['stock']:.1e}, and the limit is {limit:.1e}). Times of a wrong result would say nothing, so none "
        "were taken."
    )


def difference(gradients: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """The largest difference of a gradient, as a share of its largest value, over all weights."""
    pairs = zip(gradients, expected, strict=True)
    return max(float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-12)) for a, b in pairs)


def fair_turns(runs: Mapping[str, Callable[[], object]], repeats: int, warm: int = 2) -> dict[str, Times]:
    """The times of each run, in turns. Each turn begins with another run, so that none always follows the same."""
    names, taken = list(runs), {name: [] for name in runs}  # type: ignore[var-annotated]
    for turn in range(warm + repeats):
        shift = turn % len(names)
        for name in [*names[shift:], *names[:shift]]:
            began = time.perf_counter()
            runs[name]()
            if turn >= warm:
                taken[name].append(1e3 * (time.perf_counter() - began))
    return {name: Times(*(float(np.percentile(own, p)) for p in (50, 10, 90))) for name, own in taken.items()}


def divided(times: Times, by: int) -> Times:
    return Times(*(value / by for value in times))


def gemm_rate(size: int) -> float:
    """Floating-point operations a second of a large product, the best of ten."""
    a = keras.ops.convert_to_tensor(np.random.default_rng(0).normal(size=(size, size)).astype("float32"))
    seconds = []
    for _ in range(10):
        began = time.perf_counter()
        keras.ops.convert_to_numpy(keras.ops.matmul(a, a)[0, 0])
        seconds.append(time.perf_counter() - began)
    return 2 * size**3 / min(seconds)


def where() -> str:
    backend = keras.backend.backend()
    installed = [
        d for d in ("torch", "jax") if any(x.metadata["Name"] == d for x in importlib.metadata.distributions())
    ]
    return f"{machine('keras', *dict.fromkeys([backend, *installed]))}, backend {backend}"


def write_files(result: Result, settings: TrainBench) -> None:
    if settings.json:
        temporary = settings.json.with_suffix(".part")
        temporary.write_text(json.dumps(asdict(result), indent=2), encoding="utf-8")
        temporary.replace(settings.json)
    if settings.chart:
        draw(result, settings.chart)


def lines(result: Result) -> Iterator[str]:
    """The result as a table of text."""
    cells = [("row", "contender", "a step", "stock / this", "gradient error", "of the GEMM rate")]
    for row in result.rows:
        for name, times in row.times.items():
            ratio = f"{row.ratios[name]:.2f}x" if name in row.ratios else "1"
            error = f"{row.errors[name]:.0e}" if name in row.errors else ""
            share = f"{row.of_gemm_rate:.0%}" if name == "ours" and row.of_gemm_rate is not None else ""
            cells.append((row.name if name == "stock" else "", name, str(times), ratio, error, share))
    widths = [max(len(texts[i]) for texts in cells) for i in range(len(cells[0]))]
    for texts in cells:
        yield "  ".join(text.ljust(width) for text, width in zip(texts, widths, strict=True)).rstrip()
    for name, seconds in result.first_step.items():
        yield f"first step of fit, {name}: {np.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"
    for name, megabytes in result.memory.items():
        yield f"memory of a step over a long sequence, {name}: {megabytes:.0f} MB"
    yield from (row.refusal for row in result.rows if row.refusal)
    yield f"medians of {result.repeats} turns (10th to 90th percentile)"
    yield f"large products run at {result.gemm_rate / 1e9:.0f} GF/s; the load was {result.load:.1f} at the start"
    yield result.machine
    if result.quick:
        yield "--quick: tiny shapes, so these times say nothing about real ones"

"""The results of `rnnkit bench train --cells`: a file that each measurement adds to, and a table for the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from keras_rnnkit.settings import SettingsError
from keras_rnnkit.timing import Times

BASE = "stock LSTM"


@dataclass
class CellResults:
    """The results of all runs that wrote to one file.

    load: the largest load at the start of a run. rows: for each shape the milliseconds of a training step of each
    contender. weights: how many numbers each cell learns. stream: milliseconds of a step of the exported stream.
    whole: those of an exported sequence. memory: for each shape the MB of a training step of each contender. kernels:
    for each shape the milliseconds of a training step of minGRU on the kernel `parallel` and on the plain loop.
    """

    machine: str
    load: float = 0.0
    rows: dict[str, dict[str, Times]] = field(default_factory=dict)
    weights: dict[str, int] = field(default_factory=dict)
    stream: dict[str, Times] = field(default_factory=dict)
    whole: dict[str, Times] = field(default_factory=dict)
    memory: dict[str, dict[str, float]] = field(default_factory=dict)
    kernels: dict[str, dict[str, Times]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, machine: str) -> CellResults:
        """The results in a file, which must be of this machine: times of two machines in one table mean nothing."""
        results = cls(**json.loads(path.read_text(encoding="utf-8")))
        if results.machine != machine:
            raise SettingsError(
                f"{path} has results of another machine or other versions: {results.machine}. This is {machine}. "
                "Write to another file, or leave --resume out."
            )
        for times in (*results.rows.values(), *results.kernels.values(), results.stream, results.whole):
            times.update({name: Times(*each) for name, each in times.items()})
        return results

    def write(self, path: Path) -> None:
        temporary = path.with_suffix(".part")
        temporary.write_text(json.dumps(asdict(self), indent=2), encoding="utf-8")
        temporary.replace(path)


def lines(results: CellResults) -> Iterator[str]:
    """The results as a table of text, each beside stock Keras' LSTM."""
    for shape, times in results.rows.items():
        yield shape
        yield from compared(times)
    yield "a step of a stream, one row, one thread of onnxruntime"
    yield from compared(results.stream)
    yield "a whole sequence, one row, one thread of onnxruntime"
    yield from compared(results.whole)
    for shape, memory in results.memory.items():
        yield f"memory of a training step, {shape}"
        for name, megabytes in memory.items():
            yield f"  {name:<12} {megabytes:8.1f} MB, {megabytes / memory[BASE]:.2f} of {BASE}'s"
    for shape, of in results.kernels.items():
        parallel, scan = of["parallel"], of["scan"]
        ratio = scan.median / parallel.median
        yield f"minGRU on its kernel, {shape}: {parallel}; on the plain loop {scan}: {ratio:.1f}x"
    yield f"medians (10th to 90th percentile); the load was {results.load:.1f} at the start"
    yield results.machine


def compared(times: dict[str, Times]) -> Iterator[str]:
    for name, each in times.items():
        yield f"  {name:<12} {each!s:<34} {times[BASE].median / each.median:6.2f}x of {BASE}"

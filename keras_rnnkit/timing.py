"""Times of things that run one after the other, and the machine they ran on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Times(NamedTuple):
    """Milliseconds: the median, and the tenth and ninetieth of a hundred."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3g} ms ({self.low:.3g} to {self.high:.3g})"


def side_by_side(*runs: Callable[[], object], repeats: int = 50, warm: int = 3) -> list[Times]:
    """The times of each, taken in turns, so that what else the machine does meets all of them alike.

    >>> slow, fast = side_by_side(lambda: time.sleep(0.004), lambda: time.sleep(0.001), repeats=5)
    >>> slow.median > fast.median
    True
    """
    taken: list[list[float]] = [[] for _ in runs]
    for turn in range(warm + repeats):
        for run, own in zip(runs, taken, strict=True):
            began = time.perf_counter()
            run()
            if turn >= warm:
                own.append(1e3 * (time.perf_counter() - began))
    return [Times(*(float(np.percentile(own, p)) for p in (50, 10, 90))) for own in taken]


def machine(*packages: str) -> str:
    """The processor, its cores, and the versions of what was measured."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    return f"{processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}"


def processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()

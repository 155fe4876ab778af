"""How long a run of a graph takes, from the rows and steps that it brings.

Measured when a model is loaded, so that the first request is judged as well as the thousandth.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_rnnkit.runtime import Graph

Arrays = dict[str, np.ndarray]
QUICK = 0.002
"""Seconds. Shorter runs stay on the event loop, because waking another thread takes about as long as they do."""
SHORT = 0.1
"""Seconds. Runs up to this share threads of their own, so that they never wait for a run of many seconds."""
REPEATS = 3
VISIBLE, MOST_STEPS = 0.001, 1024
"""Seconds that a run must take to tell what a step costs, and steps that are enough of them in any case."""
MARGIN = 1.5
"""Runs between other work take longer than the fastest of some in a row, whose data lie in the caches."""


@dataclass(frozen=True)
class Cost:
    """Seconds of a run: fixed + steps * (step + rows * cell).

    A step of a recurrence costs something however few rows it has, and each row something more.
    """

    fixed: float
    step: float
    cell: float

    def seconds(self, rows: int, steps: int) -> float:
        """
        >>> round(Cost(fixed=1e-5, step=1e-6, cell=1e-7).seconds(rows=10, steps=100), 6)
        0.00021
        """
        return self.fixed + steps * (self.step + rows * self.cell)

    def rows_within(self, seconds: float, steps: int) -> int:
        """How many rows of so many steps a run of at most so many seconds has.

        >>> Cost(fixed=1e-5, step=1e-6, cell=1e-7).rows_within(2.2e-4, steps=100)
        11
        """
        left = seconds - self.fixed - steps * self.step
        return int(min(left / max(steps * self.cell, 1e-12), 1e9)) if left > 0 else 0


UNKNOWN = Cost(fixed=math.nextafter(QUICK, 1), step=0.0, cell=0.0)
"""Of a graph that could not be measured: never on the event loop, and nothing is refused for being too long."""


def measured(run: Callable[[int, int], Any], rows: int = 8) -> Cost:
    """The cost of `run(rows, steps)`, from three sizes of it: small, long, and long with several rows."""
    once, steps = fastest(run, 1, 1), 4
    while (long := fastest(run, 1, steps)) < VISIBLE and steps < MOST_STEPS:
        steps *= 4
    per_step = max(0.0, long - once) / (steps - 1)
    per_row = max(0.0, fastest(run, rows, steps) - long) / (rows - 1) / steps
    cell = min(per_row, per_step)
    return Cost(MARGIN * max(0.0, once - per_step), MARGIN * (per_step - cell), MARGIN * cell)


def fastest(run: Callable[[int, int], Any], rows: int, steps: int) -> float:
    """Seconds of the fastest of some runs: whatever else the machine does only ever adds to them.

    Long runs are repeated once at least: a process that was held up for a second while it measured would otherwise
    refuse requests as too long ever after.
    """
    times: list[float] = []
    while len(times) < 2 or (len(times) < REPEATS and sum(times) < SHORT):
        began = time.perf_counter()
        run(rows, steps)
        times.append(time.perf_counter() - began)
    return min(times)


def cost_of(graph: Graph) -> Cost:
    """The cost of a graph over sequences or chunks."""
    try:
        return measured(lambda rows, steps: graph.run_checked(example(graph, rows, steps)))
    except Exception:  # onnxruntime raises kinds of its own, such as for an image that is smaller than a filter
        return UNKNOWN


def example(graph: Graph, rows: int, steps: int) -> Arrays:
    """Zeros for every input: the first free axis is the rows, the second the steps, further ones are 1."""
    carried = {state["input"] for state in graph.states}
    feeds = {}
    for name, shape in graph.shapes.items():
        if name not in carried:
            free = iter((rows, steps))
            sizes = [size if isinstance(size, int) else next(free, 1) for size in shape]
            feeds[name] = np.zeros(sizes, graph.kinds[name])
    return feeds | graph.start(rows)


def steps_counter(graph: Graph) -> Callable[[Arrays], int]:
    """How many steps some feeds have: the longest axis behind the rows that a request may choose. Of an image with free
    sides, its pixels."""
    axes = step_axes(graph)
    if len(axes) == 1 and len(axes[0][1]) == 1:  # as almost always
        name, (axis,) = axes[0]
        return lambda feeds: feeds[name].shape[axis]
    return lambda feeds: steps_of(axes, feeds)


def step_axes(graph: Graph) -> list[tuple[str, tuple[int, ...]]]:
    """For each input the axes behind the rows that a request may choose, and so its work grows with."""
    axes = []
    for name in graph.inputs:
        free = tuple(axis for axis, size in enumerate(graph.shapes[name]) if axis and not isinstance(size, int))
        if free:
            axes.append((name, free))
    return axes


def steps_of(axes: list[tuple[str, tuple[int, ...]]], feeds: Arrays) -> int:
    """
    >>> steps_of([("x", (1,)), ("image", (1, 2))], {"x": np.zeros((2, 7, 3)), "image": np.zeros((2, 4, 5, 3))})
    20
    """
    return max([1, *(math.prod(feeds[name].shape[axis] for axis in free) for name, free in axes)])

"""Where a series goes on to: the model's output, fed back to it step by step."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_rnnkit.serving.errors import malformed, too_large
from keras_rnnkit.serving.models.batcher import Arrays, stackable
from keras_rnnkit.serving.models.generation import whole
from keras_rnnkit.serving.models.intervals import PATHS, Futures, series_outputs
from keras_rnnkit.serving.models.served_model import ServedModel

STEPS = 20
"""Steps of a forecast, where a request says nothing."""


class ForecastStep(NamedTuple):
    """One step: the forecast [D], and the lower and the upper bound of its interval where the model has one."""

    value: np.ndarray
    bounds: Sequence[np.ndarray]


class Forecast:
    """One request: {"series": [...], "steps": n, "seed": 0}. `series`: as an array of numbers [T] or [T, D]."""

    def __init__(self, model: ServedModel, series: np.ndarray, request: Mapping[str, Any]):
        limit = model.settings.max_tokens
        self.model, self.steps = model, whole(request, "steps", min(STEPS, limit), 1)
        if self.steps > limit:
            raise too_large(f"steps must be {limit} or less. Received: {self.steps}.")
        if model.step is None or len(model.graph.inputs) != 1 or len(model.graph.shapes[model.graph.inputs[0]]) != 3:
            raise malformed(f"The model {model.name!r} does not stream a series of numbers, so it has no forecast.")
        if series.ndim not in (1, 2) or not series.size:
            raise malformed('"series" must be a list of numbers, or of lists of numbers, one for each step.')
        self.batcher, self.graph = model.step, model.step.graph
        self.outputs = series_outputs(self.graph.outputs)
        seed, level = whole(request, "seed", 0, 0), self.outputs.level
        self.futures = Futures(level, seed) if level is not None and stackable(self.graph) else None
        self.series = series[None, :, None] if series.ndim == 1 else series[None]
        self.chunk, _ = model.checked(self.graph, {self.graph.inputs[0]: self.series.astype(np.float64)})

    async def answer(self) -> dict[str, Any]:
        steps = [step async for step in self.walk()]
        answer: dict[str, Any] = {"forecast": series_of([step.value for step in steps])}
        if self.futures is not None:
            lower, upper = (series_of([step.bounds[side] for step in steps]) for side in (0, 1))
            answer["interval"] = {"level": self.outputs.level, "lower": lower, "upper": upper}
        return answer

    async def walk(self) -> AsyncGenerator[ForecastStep, None]:
        """The steps one after the other, with others' requests between them.

        Where the model has an interval, the first row goes on with the forecast and the others with values drawn from
        the interval of each step, because an interval after nothing but forecasts would not widen.
        """
        chunk, states = self.chunk, self.graph.start(1)
        for step in range(self.steps):
            values, bounds, states = await self.next_values(chunk, states)
            following = values
            if self.futures is None:
                yield ForecastStep(values[0], [])
            else:
                drawn = self.futures.drawn(values, *bounds)
                yield ForecastStep(values[0], self.futures.bounds(drawn) if step else [bound[0] for bound in bounds])
                following = np.concatenate([values[:1], drawn])
                states = states if step else {name: np.repeat(h, 1 + PATHS, axis=0) for name, h in states.items()}
            chunk = {name: following[:, None].astype(self.graph.kinds[name]) for name in self.graph.inputs}

    async def next_values(self, chunk: Arrays, states: Arrays) -> tuple[np.ndarray, list[np.ndarray], Arrays]:
        """The values [B, D] that come after a chunk, their bounds, and the states."""
        rows = len(chunk[self.graph.inputs[0]])
        results = await self.batcher.run({**chunk, **states}, rows, self.model.settings.deadline)
        names = [name for name in (self.outputs.forecast, self.outputs.lower, self.outputs.upper) if name]
        values, *bounds = (results[name][:, -1] if results[name].ndim == 3 else results[name] for name in names)
        if any(array.shape[-1] != self.series.shape[-1] for array in (values, *bounds)):
            raise malformed(
                f"The model {self.model.name!r} goes from {self.series.shape[-1]} numbers a step to "
                f"{values.shape[-1]}, so its output cannot be its next input."
            )
        return values, bounds, {state["input"]: results[state["output"]] for state in self.graph.states}


def series_of(steps: list[np.ndarray]) -> np.ndarray:
    """[T, D], or [T] for a single channel."""
    values = np.stack(steps)
    return values[:, 0] if values.shape[1] == 1 else values

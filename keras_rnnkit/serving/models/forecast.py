"""Where a series goes on to: the model's output, fed back to it step by step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_rnnkit.serving.errors import malformed, too_large
from keras_rnnkit.serving.models.generation import whole
from keras_rnnkit.serving.models.served_model import ServedModel

STEPS = 20
"""Steps of a forecast, where a request says nothing."""


class Forecast:
    """One request: {"series": [...], "steps": n}. `series`: as an array of numbers [T] or [T, D]."""

    def __init__(self, model: ServedModel, series: np.ndarray, request: Mapping[str, Any]):
        limit = model.settings.max_tokens
        self.model, self.steps = model, whole(request, "steps", min(STEPS, limit), 1)
        if self.steps > limit:
            raise too_large(f"steps must be {limit} or less. Received: {self.steps}.")
        if model.step is None or len(model.graph.inputs) != 1 or len(model.graph.shapes[model.graph.inputs[0]]) != 3:
            raise malformed(f"The model {model.name!r} does not stream a series of numbers, so it has no forecast.")
        if series.ndim not in (1, 2) or not series.size:
            raise malformed('"series" must be a list of numbers, or of lists of numbers, one for each step.')
        self.batcher = model.step
        self.series = series[None, :, None] if series.ndim == 1 else series[None]
        name = self.batcher.graph.inputs[0]
        self.chunk, _ = model.checked(self.batcher.graph, {name: self.series.astype(np.float64)})

    async def answer(self) -> dict[str, Any]:
        steps = [step async for step in self.walk()]
        values = np.concatenate(steps, axis=1)[0]
        return {"forecast": values[:, 0] if values.shape[1] == 1 else values}

    async def walk(self):
        """The next steps [1, 1, D], one after the other, with others' requests between them."""
        graph = self.batcher.graph
        name, states, chunk = graph.inputs[0], graph.start(1), self.chunk
        for _ in range(self.steps):
            outputs = await self.batcher.run({**chunk, **states}, 1, self.model.settings.deadline)
            y = outputs[graph.outputs[0]]
            y = (y[:, -1] if y.ndim == 3 else y)[:, None]
            if y.shape[-1] != self.series.shape[-1]:
                raise malformed(
                    f"The model {self.model.name!r} goes from {self.series.shape[-1]} numbers a step to {y.shape[-1]}, "
                    "so its output cannot be its next input."
                )
            yield y
            states = {state["input"]: outputs[state["output"]] for state in graph.states}
            chunk = {name: y.astype(graph.kinds[name])}

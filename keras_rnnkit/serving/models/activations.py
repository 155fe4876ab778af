"""What a hidden unit does over a text: its state after each token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_rnnkit.serving.errors import malformed, too_large
from keras_rnnkit.serving.models.generation import Generation
from keras_rnnkit.serving.models.served_model import ServedModel

LONGEST = 2_000
"""Tokens of a text at most; each is a run of the graph."""


class Activations:
    """One request: {"text_input" or "tokens", "state", "unit"}; without a unit, the one that is most decided."""

    def __init__(self, model: ServedModel, request: Mapping[str, Any]):
        self.reader = Generation(model, {"text_input": request.get("text_input"), "tokens": request.get("tokens")})
        if self.reader.prompt.shape[1] > LONGEST:
            raise too_large(f"The text has {self.reader.prompt.shape[1]} tokens; {LONGEST} at most are shown.")
        self.states = [state["input"] for state in self.reader.graph.states]
        self.state = request.get("state", self.states[-1] if self.states else None)
        if self.state not in self.states:
            names = ", ".join(map(repr, self.states))
            raise malformed(f"There is no state {str(self.state)[:80]!r}. The model has {names}.")
        self.unit = request.get("unit")

    async def answer(self) -> dict[str, Any]:
        """{"tokens": [...], "values": [...]} and which unit it is."""
        values, reader = await self.values(), self.reader
        unit = most_decided(values) if self.unit is None else self.unit
        if isinstance(unit, bool) or not isinstance(unit, int) or not 0 <= unit < values.shape[1]:
            raise malformed(f"unit must be a number from 0 to {values.shape[1] - 1}. Received: {str(unit)[:40]!r}.")
        return {
            "state": self.state,
            "unit": unit,
            "units": values.shape[1],
            "tokens": [reader.text([token]) or "·" for token in reader.prompt[0]],
            "values": values[:, unit],
        }

    async def values(self) -> np.ndarray:
        """The state after each token, [T, U]."""
        states, rows, which = list(self.reader.graph.start(1).values()), [], self.states.index(self.state)
        for token in self.reader.prompt[0]:
            _, states = await self.reader.scores(np.array([[token]]), states)
            rows.append(np.ravel(states[which]))
        return np.stack(rows)


def most_decided(values: np.ndarray) -> int:
    """The unit that is far from zero, and changes its sign now and then."""
    changes = np.abs(np.diff(np.sign(values), axis=0)).mean(0) if len(values) > 1 else np.zeros(values.shape[1])
    return int(np.argmax(np.abs(values).mean(0) * np.where((changes > 0.02) & (changes < 0.4), 1.0, 0.1)))

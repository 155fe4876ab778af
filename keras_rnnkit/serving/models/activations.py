"""What hidden units do over a text: their states after each token."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_rnnkit.serving.errors import malformed, too_large
from keras_rnnkit.serving.models.generation import Generation
from keras_rnnkit.serving.models.served_model import ServedModel

LONGEST = 2_000
"""Tokens of a text at most; each is a run of the graph."""
MOST = 2**20
"""States of all units after all tokens that one answer may hold."""
STEPS = 2**15 - 1
"""States are written as whole numbers from -STEPS to STEPS."""


class Activations:
    """One request: {"text_input" or "tokens", "state", "unit"}; without a unit, the one that is most decided.

    With {"all_units": true} the answer has the states of all units instead, and in which order they react.
    """

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
        self.all_units = request.get("all_units", False) is True

    async def answer(self) -> dict[str, Any]:
        """{"tokens": [...], "values": [...]} and which unit it is."""
        values = await self.values()
        if self.all_units:
            return {"state": self.state, "tokens": self.texts(), **packed(values)}
        unit = most_decided(values) if self.unit is None else self.unit
        if isinstance(unit, bool) or not isinstance(unit, int) or not 0 <= unit < values.shape[1]:
            raise malformed(f"unit must be a number from 0 to {values.shape[1] - 1}. Received: {str(unit)[:40]!r}.")
        return {
            "state": self.state,
            "unit": unit,
            "units": values.shape[1],
            "tokens": self.texts(),
            "values": values[:, unit],
        }

    def texts(self) -> list[str]:
        """The tokens as they are read, with a dot for one that is not shown."""
        return [self.reader.text([token]) or "·" for token in self.reader.prompt[0]]

    async def values(self) -> np.ndarray:
        """The state after each token, [T, U]."""
        states, rows, which = list(self.reader.graph.start(1).values()), [], self.states.index(self.state)
        for token in self.reader.prompt[0]:
            _, states = await self.reader.scores(np.array([[token]]), states)
            rows.append(np.ravel(states[which]))
        return np.stack(rows)


def packed(values: np.ndarray) -> dict[str, Any]:
    """The states [T, U] as base64 of little-endian int16, times `scale`; "ranking": units, the most decided first."""
    if values.size > MOST:
        raise too_large(f"{len(values)} tokens have {values.size:,} states; {MOST:,} at most are sent.")
    scale = max(float(np.abs(values).max()), 1e-9) / STEPS
    numbers = np.rint(values / scale).astype("<i2")
    return {
        "units": values.shape[1],
        "scale": scale,
        "data": base64.b64encode(numbers.tobytes()).decode(),
        "ranking": np.argsort(-decidedness(values), kind="stable")[:24],
    }


def decidedness(values: np.ndarray) -> np.ndarray:
    """How much each unit reacts to a text: it is far from zero, and changes its sign now and then."""
    changes = np.abs(np.diff(np.sign(values), axis=0)).mean(0) if len(values) > 1 else np.zeros(values.shape[1])
    return np.abs(values).mean(0) * np.where((changes > 0.02) & (changes < 0.4), 1.0, 0.1)


def most_decided(values: np.ndarray) -> int:
    return int(np.argmax(decidedness(values)))

"""What the page shows of a model besides its answers: what its units do over a text, and where a series goes on to."""

from __future__ import annotations

from typing import Any

import numpy as np
from starlette.responses import Response

from keras_rnnkit.serving.errors import malformed, too_large
from keras_rnnkit.serving.http import wire_format
from keras_rnnkit.serving.http.errors import answer
from keras_rnnkit.serving.http.requests import model_of, object_of
from keras_rnnkit.serving.models import generation
from keras_rnnkit.serving.models.served_model import ServedModel

LONGEST = 2_000


async def activations(server, request) -> Response:
    """{"text_input", "state", "unit"} -> {"tokens": [...], "values": [...]}: a unit's state after each token.

    Without a unit, the one that is most decided over this text: far from zero, and changing now and then.
    """
    model, asked = model_of(server, request), await object_of(server, request)
    reader = generation.Generation(model, {"text_input": asked.get("text_input"), "tokens": asked.get("tokens")})
    if reader.prompt.shape[1] > LONGEST:
        raise too_large(f"The text has {reader.prompt.shape[1]} tokens; {LONGEST} at most are shown.")
    states = [state["input"] for state in reader.graph.states]
    which = asked.get("state", states[-1] if states else None)
    if which not in states:
        raise malformed(f"There is no state {str(which)[:80]!r}. The model has {', '.join(map(repr, states))}.")
    values = await states_over(reader, states.index(which))
    unit = asked.get("unit")
    if unit is None:
        unit = most_decided(values)
    if isinstance(unit, bool) or not isinstance(unit, int) or not 0 <= unit < values.shape[1]:
        raise malformed(f"unit is a number from 0 to {values.shape[1] - 1}. Received: {str(unit)[:40]!r}.")
    tokens = [reader.text([token]) or "·" for token in reader.prompt[0]]
    return answer({"state": which, "unit": unit, "units": values.shape[1], "tokens": tokens, "values": values[:, unit]})


async def states_over(reader: generation.Generation, which: int) -> np.ndarray:
    """A state after each token of the prompt, [T, U]."""
    states, rows = list(reader.graph.start(1).values()), []
    for token in reader.prompt[0]:
        _, states = await reader.scores(np.array([[token]]), states)
        rows.append(np.ravel(states[which]))
    return np.stack(rows)


def most_decided(values: np.ndarray) -> int:
    changes = np.abs(np.diff(np.sign(values), axis=0)).mean(0) if len(values) > 1 else np.zeros(values.shape[1])
    return int(np.argmax(np.abs(values).mean(0) * np.where((changes > 0.02) & (changes < 0.4), 1.0, 0.1)))


async def forecast(server, request) -> Response:
    """{"series": [...], "steps": n} -> {"forecast": [...]}: what the model says comes next, fed back to it n times."""
    model, asked = model_of(server, request), await object_of(server, request)
    steps = generation.whole(asked, "steps", 20, 1)
    if steps > model.settings.max_tokens:
        raise too_large(f"steps is {model.settings.max_tokens} at most. Received: {steps}.")
    series = series_of(model, asked.get("series"))
    found = await continued(model, series, steps)
    return answer({"forecast": found[0, :, 0] if found.shape[2] == 1 else found[0]})


def series_of(model: ServedModel, given: Any) -> np.ndarray:
    """The series [1, T, D]."""
    if model.step is None or len(model.graph.inputs) != 1 or len(model.graph.shapes[model.graph.inputs[0]]) != 3:
        raise malformed(f"The model {model.name!r} does not stream a series of numbers, so it has no forecast.")
    try:
        series = np.array(given, np.float64)
    except (ValueError, TypeError):
        series = np.array(None, object)
    if series.dtype.kind != "f" or series.ndim not in (1, 2) or not series.size:
        raise malformed('"series" is a list of numbers, or of lists of numbers, one for each step.')
    return wire_format.finite("series", series[None, :, None] if series.ndim == 1 else series[None])


async def continued(model: ServedModel, series: np.ndarray, steps: int) -> np.ndarray:
    batcher = model.step
    assert batcher is not None
    graph, rows = batcher.graph, []
    name, states = graph.inputs[0], graph.start(1)
    chunk, _ = model.checked(graph, {name: series.astype(graph.kinds[name])})
    for _ in range(steps):
        found = await batcher.run({**chunk, **states}, 1, model.settings.deadline)
        y = found[graph.outputs[0]]
        y = (y[:, -1] if y.ndim == 3 else y)[:, None]
        if y.shape[-1] != series.shape[-1]:
            raise malformed(
                f"The model {model.name!r} goes from {series.shape[-1]} numbers a step to {y.shape[-1]}, so its output "
                "cannot be its next input."
            )
        rows.append(y)
        states = {state["input"]: found[state["output"]] for state in graph.states}
        chunk = {name: y.astype(graph.kinds[name])}
    return np.concatenate(rows, axis=1)

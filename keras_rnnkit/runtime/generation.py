"""Tokens from a bundle: by the graph that holds the loop, or by a loop of ours over the graph of one step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from keras_rnnkit.decoding import Generated, Sampling, Strategy, generate, noise, stream
from keras_rnnkit.ops import numpy as ops
from keras_rnnkit.runtime.errors import InputError
from keras_rnnkit.runtime.graph import Graph


def by_graph(graph: Graph, prompt: np.ndarray, steps: int, seed: int, numbers: Mapping[str, Any], fixed) -> Generated:
    """One run of a graph of mode "generate"; `numbers`: of its strategy, where they are its inputs."""
    feeds = {graph.facts["tokens"]: prompt, **fixed}
    if "noise" in graph.kinds:
        feeds["noise"] = noise(seed, len(prompt), steps)
    else:
        feeds["steps"] = np.array(steps)
    defaults = graph.facts["defaults"]
    unknown = [name for name, value in numbers.items() if value is not None and name not in defaults]
    if unknown:
        raise InputError(
            f"The graph decodes by {graph.facts['strategy']!r} and has no {unknown[0]!r}. Pass strategy= to decode "
            "otherwise, such as keras_rnnkit.decoding.Sampling(...)."
        )
    given = {name: value for name, value in numbers.items() if value is not None}
    Sampling(**given)  # says what is wrong with them
    found = graph.run(feeds | defaults | given)
    return Generated(*(found[name] for name in graph.outputs))


def by_steps(graph: Graph, prompt, strategy: Strategy, steps: int, seed: int, end: int | None, fixed) -> Generated:
    """A loop over a graph of mode "stream"."""
    return generate(**begun(graph, prompt, strategy, steps, seed, fixed), end=end)


def one_by_one(graph: Graph, prompt, strategy: Strategy, steps: int, seed: int, end, fixed) -> Iterator[np.ndarray]:
    """The tokens [B] as they come."""
    return stream(**begun(graph, prompt, strategy, steps, seed, fixed), end=end)


def begun(graph: Graph, prompt, strategy: Strategy, steps: int, seed: int, fixed) -> dict[str, Any]:
    """What a token loop takes, the prompt read and the noise drawn."""
    loop = Steps(graph, fixed, strategy.rows)
    logits, states = loop.begin(prompt)
    drawn = noise(seed, len(prompt), steps) if strategy.needs_noise else None
    known = {"ops": ops, "step": loop, "logits": logits, "states": states}
    return known | {"strategy": strategy, "steps": steps, "noise": drawn}


class Steps:
    """The graph of a chunk as the step of a token loop."""

    def __init__(self, graph: Graph, fixed: Mapping[str, Any], rows: int):
        self.graph = graph
        (self.name,) = [name for name in graph.inputs if name not in fixed]
        self.fixed = dict(fixed)
        self.each = {name: np.repeat(np.asarray(x), rows, axis=0) for name, x in fixed.items()}

    def begin(self, prompt: np.ndarray):
        """What follows the prompt."""
        states = list(self.graph.start(len(prompt)).values())
        return self.scores(prompt, states, self.fixed)

    def __call__(self, tokens: np.ndarray, states: list[np.ndarray]):
        return self.scores(tokens[:, None], states, self.each)

    def scores(self, tokens, states, fixed):
        given = {known["input"]: state for known, state in zip(self.graph.states, states, strict=True)}
        found = self.graph.run({self.name: tokens, **fixed, **given})
        y = found[self.graph.outputs[0]]
        y = y[:, -1] if y.ndim == 3 else y
        return logits_of(y), [found[known["output"]] for known in self.graph.states]


def logits_of(y: np.ndarray) -> np.ndarray:
    """Logits from what the model gives, probabilities or logits."""
    probabilities = bool(np.all(y >= 0) and np.allclose(y.sum(-1), 1, atol=1e-3))
    return np.log(np.maximum(y, 1e-30)) if probabilities else y

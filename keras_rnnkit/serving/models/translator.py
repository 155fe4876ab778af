"""The graph that translates: what it is fed, and what its runs cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from keras_rnnkit.decoding import noise
from keras_rnnkit.runtime import Graph
from keras_rnnkit.serving.models.cost import UNKNOWN, Arrays, Cost, measured, steps_counter


def feeds(graph: Graph, source: np.ndarray, steps: int, seed: int = 0) -> Arrays:
    """The inputs of the graph for sources as it takes them, and so many tokens of each target."""
    values: dict[str, Any] = {"source": source, **graph.facts["defaults"]}
    values |= {"noise": noise(seed, len(source), steps)} if "noise" in graph.kinds else {"steps": np.array(steps)}
    return {
        name: graph.checked(name, value) if np.ndim(value) else np.array(value, graph.kinds[name])
        for name, value in values.items()
    }


def translation_steps(graph: Graph) -> Callable[[Arrays], int]:
    """How many steps a run has: those of the source, and the tokens that are written."""
    source = steps_counter(graph)
    return lambda feeds: source(feeds) + (int(feeds["steps"]) if "steps" in feeds else 0)


def cost_of_translator(graph: Graph) -> Cost:
    """The cost of the graph; `steps` as `translation_steps` counts them."""

    def run(rows: int, steps: int) -> None:
        sizes = iter([rows])
        shape = [size if isinstance(size, int) else next(sizes, 1) for size in graph.shapes["source"]]
        graph.run_checked(feeds(graph, np.ones(shape, graph.kinds["source"]), steps))

    try:
        return measured(run, rows=4)
    except Exception:  # onnxruntime raises kinds of its own
        return UNKNOWN

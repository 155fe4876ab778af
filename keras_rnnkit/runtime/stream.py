"""A stream: a graph over chunks, and the states between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_rnnkit.runtime.errors import InputError
from keras_rnnkit.runtime.graph import Graph


class Stream:
    """Runs a graph of mode "stream" chunk by chunk. Each row of the batch is a stream of its own.

    Arguments:
        graph: the graph of one chunk.
        rows: how many streams run side by side.
        fixed: inputs that are the same for every chunk, such as the condition of a captioner.
    """

    def __init__(self, graph: Graph, rows: int = 1, fixed: Mapping[str, Any] | None = None):
        self.graph = graph
        self.rows = rows
        self.fixed = dict(fixed or {})
        self.states = graph.start(rows)

    def push(self, chunk: Any) -> Any:
        """The outputs for the next steps; the states move on only if all went well.

        chunk: an array [rows, steps, ...], or a dict of arrays by the names of the inputs. The answer has the same
        form: an array if the graph has one output, otherwise a dict.
        """
        found = self.graph.run({**self.named(chunk), **self.fixed, **self.states})
        self.states = {state["input"]: found[state["output"]] for state in self.graph.states}
        outputs = {name: found[name] for name in self.graph.outputs}
        return outputs if len(outputs) > 1 else next(iter(outputs.values()))

    def named(self, chunk: Any) -> dict[str, Any]:
        if isinstance(chunk, Mapping):
            return dict(chunk)
        names = [name for name in self.graph.inputs if name not in self.fixed]
        if len(names) != 1:
            raise InputError(
                f"The graph has the inputs {', '.join(map(repr, names))}. Push a dict of arrays by these names."
            )
        return {names[0]: chunk}

    def reset(self, rows: list[int] | None = None) -> None:
        """Start anew: all rows, or those."""
        fresh = self.graph.start(self.rows)
        if rows is None:
            self.states = fresh
            return
        self.states = {name: value.copy() for name, value in self.states.items()}
        for name, value in self.states.items():
            value[rows] = fresh[name][rows]

    def snapshot(self) -> dict[str, np.ndarray]:
        """The states, to go back to with `restore` or to keep elsewhere (numpy.savez)."""
        return {name: value.copy() for name, value in self.states.items()}

    def restore(self, states: Mapping[str, np.ndarray]) -> None:
        expected = self.graph.start(self.rows)
        if {n: np.shape(v) for n, v in states.items()} != {n: v.shape for n, v in expected.items()}:
            raise InputError(
                f"These are not the states of {self.rows} rows of this graph. Received: "
                f"{ {n: list(np.shape(v)) for n, v in states.items()} }, expected "
                f"{ {n: list(v.shape) for n, v in expected.items()} }."
            )
        self.states = {name: np.array(states[name], expected[name].dtype) for name in expected}

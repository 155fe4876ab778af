"""A stream: a graph over chunks, and the states between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_rnnkit.runtime.arrays import as_kind, whole_number
from keras_rnnkit.runtime.errors import InputError
from keras_rnnkit.runtime.generation import checked_fixed
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
        self.rows = whole_number("rows", rows, least=1)
        self.fixed = checked_fixed(graph, fixed or {}, self.rows)
        self.states = graph.start(self.rows)

    def push(self, chunk: Any) -> Any:
        """The outputs for the next steps; the states change only if the run succeeds.

        Arguments:
            chunk: an array [rows, steps, ...], or a dict of arrays by the names of the inputs.

        Returns an array if the graph has one output, otherwise a dict of arrays by name. Raises InputError for a chunk
        that the graph does not take, or that has another number of rows than the stream.
        """
        arrays = {name: self.graph.checked(name, value) for name, value in self._named(chunk).items()}
        for name, array in arrays.items():
            if array.ndim and len(array) != self.rows:
                raise InputError(f"The stream has {self.rows} rows. Received: {len(array)} in the input {name!r}.")
        results = self.graph.run_arrays({**arrays, **self.fixed, **self.states})
        self.states = {state["input"]: results[state["output"]] for state in self.graph.states}
        outputs = {name: results[name] for name in self.graph.outputs}
        return outputs if len(outputs) > 1 else next(iter(outputs.values()))

    def _named(self, chunk: Any) -> dict[str, Any]:
        """The chunk as arrays by the names of the inputs."""
        names = [name for name in self.graph.inputs if name not in self.fixed]
        if not isinstance(chunk, Mapping):
            if len(names) != 1:
                raise InputError(
                    f"The graph has the inputs {', '.join(map(repr, names))}. Push a dict of arrays by these names."
                )
            return {names[0]: chunk}
        unknown = [name for name in chunk if name not in names]
        if unknown:
            raise InputError(f"A chunk consists of {', '.join(map(repr, names))}. Received: {unknown[0]!r}.")
        return dict(chunk)

    def reset(self, rows: Sequence[int] | None = None) -> None:
        """Set states to their initial values.

        Arguments:
            rows: the numbers of the rows that start anew; None for all.
        """
        fresh = self.graph.start(self.rows)
        if rows is None:
            self.states = fresh
            return
        places = as_kind("rows", np.atleast_1d(rows) if np.size(rows) else np.zeros(0, np.int64), "int64")
        if places.ndim != 1 or np.any((places < 0) | (places >= self.rows)):
            raise InputError(f"The stream has the rows 0 to {self.rows - 1}. Received: {places.tolist()}.")
        self.states = {name: value.copy() for name, value in self.states.items()}
        for name, value in self.states.items():
            value[places] = fresh[name][places]

    def snapshot(self) -> dict[str, np.ndarray]:
        """The states by name, to go back to with `restore` or to keep elsewhere (numpy.savez)."""
        return {name: value.copy() for name, value in self.states.items()}

    def restore(self, states: Mapping[str, Any]) -> None:
        """Set the states to those of a snapshot.

        Arguments:
            states: what `snapshot` gave, of a stream of as many rows.
        """
        expected = {name: list(value.shape) for name, value in self.graph.start(self.rows).items()}
        shapes = (
            {name: list(np.shape(value)) for name, value in states.items()} if isinstance(states, Mapping) else None
        )
        if shapes != expected:
            raise InputError(
                f"These are not the states of {self.rows} rows of this graph. Received: {shapes}, expected {expected}."
            )
        self.states = {name: np.array(self.graph.checked(name, states[name])) for name in expected}

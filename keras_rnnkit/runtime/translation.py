"""Targets from sources, by a bundle of a `Seq2Seq`: in one run of its graph, or by a loop of ours over its step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from keras_rnnkit.decoding import Aligned, Sampling, Strategy, align, noise
from keras_rnnkit.decoding.sources import SourceError, checked_source
from keras_rnnkit.ops import numpy as ops
from keras_rnnkit.runtime.errors import InputError
from keras_rnnkit.runtime.graph import Graph
from keras_rnnkit.text import Vocabulary


class Translation(NamedTuple):
    """One target. text: None without a vocabulary. score: the sum of the tokens' log-probabilities, the end's among
    them. tokens: without the end. attention: where the model looked for each token, [tokens, steps of the source], or
    None without attention."""

    text: str | None
    score: float
    tokens: np.ndarray
    attention: np.ndarray | None


class Sources:
    """What a bundle can read. facts: what its manifest says; vocabulary: of the source, or None."""

    def __init__(self, facts: Mapping[str, Any], vocabulary: Vocabulary | None):
        self.facts, self.vocabulary = facts, vocabulary

    def rows(self, source: Any) -> tuple[list[np.ndarray], bool]:
        """Each source as numbers, and whether there was but one."""
        if self.facts["source"] != "tokens":
            array = np.asarray(source, np.float32)
            single = array.ndim == len(self.facts["source_shape"]) - 1
            rows = [self.checked(row) for row in (array[None] if single else array)]
            return rows, single
        single = isinstance(source, str) or is_row(source)
        rows = [self.encoded(one) for one in ([source] if single else source)]
        try:
            checked_source(rows, self.facts["source_tokens"], self.facts["limit"])
        except SourceError as error:
            raise InputError(str(error)) from None
        return rows, single

    def encoded(self, source: Any) -> np.ndarray:
        if not isinstance(source, str):
            return np.asarray(source)
        if self.vocabulary is None:
            raise InputError("The bundle has no vocabulary of sources, so a source is the numbers of its tokens.")
        return self.vocabulary.encode(source)

    def checked(self, row: np.ndarray) -> np.ndarray:
        expected = self.facts["source_shape"][1:]
        fits = row.ndim == len(expected) and all(n in (None, m) for n, m in zip(expected, row.shape, strict=True))
        if not fits or 0 in row.shape:
            shape = ", ".join("steps" if n is None else str(n) for n in expected)
            raise InputError(f"A source has the shape [{shape}]. Received: {list(row.shape)}.")
        return row

    def batch(self, rows: list[np.ndarray]) -> np.ndarray:
        if self.facts["source"] == "tokens":
            return checked_source(rows, self.facts["source_tokens"])
        if len({row.shape for row in rows}) > 1:
            raise InputError("Features of different lengths are translated one by one, or in batches of one length.")
        return np.stack(rows)


def is_row(source: Any) -> bool:
    """Whether a source is the numbers of one.

    >>> is_row([4, 5, 6]), is_row([[4, 5], [6]]), is_row(["a"]), is_row([])
    (True, False, False, False)
    """
    return len(source) > 0 and not isinstance(source[0], str) and np.ndim(source[0]) == 0


def batches(rows: list[np.ndarray], size: int) -> Iterator[list[int]]:
    """Places of sources that are about as long, so that little is padded."""
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    yield from (order[i : i + size] for i in range(0, len(order), size))


def by_graph(graph: Graph, source: np.ndarray, steps: int, seed: int, numbers: Mapping[str, Any]) -> Aligned:
    """One run of the graph with the loop; `numbers`: of its strategy, where they are its inputs."""
    feeds: dict[str, Any] = {"source": source}
    if "noise" in graph.kinds:
        feeds["noise"] = noise(seed, len(source), steps)
    else:
        feeds["steps"] = np.array(steps)
    given, defaults = {name: value for name, value in numbers.items() if value is not None}, graph.facts["defaults"]
    unknown = [name for name in given if name not in defaults]
    if unknown:
        raise InputError(
            f"The graph decodes by {graph.facts['strategy']!r} and has no {unknown[0]!r}. Pass strategy= to decode "
            "otherwise, such as keras_rnnkit.decoding.Sampling(...)."
        )
    Sampling(**given)  # says what is wrong with them
    found = graph.run(feeds | defaults | given)
    tokens = found["generated"]
    attention = found.get("attention", np.zeros((*tokens.shape, 0), np.float32))
    return Aligned(tokens, found["scores"], found["lengths"], attention)


def by_steps(encoder: Graph, step: Graph, source, strategy: Strategy, steps: int, seed: int, facts) -> Aligned:
    """A loop over the graph of one step."""
    read = encoder.run({"source": source})
    states = [read.pop(state["input"]) for state in step.states]
    every = {name: np.repeat(array, strategy.rows, axis=0) for name, array in read.items()}

    def scored(tokens, states, memory):
        given = {known["input"]: state for known, state in zip(step.states, states, strict=True)}
        found = step.run({"token": tokens, **memory, **given})
        looked = found.get("attention", np.zeros((len(tokens), 0), np.float32))
        return found["logits"], [found[known["output"]] for known in step.states], looked

    first = scored(np.full(len(source), facts["begin"]), states, read)
    drawn = noise(seed, len(source), steps) if strategy.needs_noise else None
    return align(ops, lambda token, states: scored(token, states, every), first, strategy, steps, drawn, facts["end"])


def in_words(found: Aligned, lengths: list[int], end: int, vocabulary: Vocabulary | None) -> list[list[Translation]]:
    """For each source its translations, the best first. lengths: steps of each source."""
    if found.scores.ndim == 1:
        found = Aligned(*(x[:, None] for x in found))
    return [
        [
            translation(*(x[b, k] for x in found), steps=lengths[b], end=end, vocabulary=vocabulary)  # type: ignore[misc]
            for k in range(found.scores.shape[1])
            if found.scores[b, k] > -1e8  # a place of the beam for which there was no hypothesis
        ]
        for b in range(len(lengths))
    ]


def translation(tokens, score, length, attention, steps: int, end: int, vocabulary: Vocabulary | None) -> Translation:
    count = int(length)
    count -= bool(count and tokens[count - 1] == end)
    text = None if vocabulary is None else vocabulary.decode(tokens[:count])
    looked = attention[:count, :steps] if attention.shape[-1] else None
    return Translation(text, float(score), tokens[:count], looked)

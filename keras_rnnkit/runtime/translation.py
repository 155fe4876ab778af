"""Targets from sources, by a bundle of a `Seq2Seq`: in one run of its graph, or by a loop in Python over its step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from keras_rnnkit.decoding import Aligned, Strategy, align
from keras_rnnkit.decoding.sources import SourceError, checked_source
from keras_rnnkit.ops import numpy as ops
from keras_rnnkit.runtime.arrays import as_kind, whole_number
from keras_rnnkit.runtime.errors import InputError
from keras_rnnkit.runtime.generation import bad_settings_as_input_errors, loop_feeds, noise_of
from keras_rnnkit.runtime.graph import Graph
from keras_rnnkit.runtime.ragged import length_of
from keras_rnnkit.text import TextError, Vocabulary


class Translation(NamedTuple):
    """One target.

    text: None without a vocabulary. score: the sum of the log-probabilities of all tokens, including the end token.
    tokens: without the end token. attention: the weight of each step of the source when a token was chosen [tokens,
    steps of the source], or None where the model has no attention.
    """

    text: str | None
    score: float
    tokens: np.ndarray
    attention: np.ndarray | None


class Sources:
    """What a bundle can read.

    Arguments:
        facts: what its manifest says of sources and targets.
        vocabulary: of the sources, or None.
    """

    def __init__(self, facts: Mapping[str, Any], vocabulary: Vocabulary | None):
        self.facts, self.vocabulary = facts, vocabulary

    def rows(self, source: Any) -> tuple[list[np.ndarray], bool]:
        """Each source as numbers, and whether the caller passed a single one."""
        if self.facts["source"] != "tokens":
            array = as_kind("source", source, "float32")
            single = array.ndim == len(self.facts["source_shape"]) - 1
            rows = [self.checked(row) for row in (array[None] if single else np.atleast_1d(array))]
            if not rows:
                raise InputError("There must be one source or more. Received: none.")
            return rows, single
        single = isinstance(source, str) or is_row(source)
        try:
            rows = [self.encoded(row) for row in ([source] if single else source)]
            checked_source(rows, self.facts["source_tokens"], self.facts["limit"])
        except SourceError as error:
            raise InputError(str(error)) from None
        except TypeError as error:
            raise InputError(f"A source must be a text, or a list of token ids. Received: {error}.") from error
        return rows, single

    def encoded(self, source: Any) -> np.ndarray:
        """The tokens of a source."""
        if not isinstance(source, str):
            try:
                return np.asarray(source)
            except ValueError as error:
                raise InputError(f"A source must be a list of token ids. Received: {error}.") from error
        if self.vocabulary is None:
            raise InputError("The bundle has no vocabulary of sources, so a source must be the ids of its tokens.")
        try:
            return self.vocabulary.encode(source)
        except TextError as error:
            raise InputError(str(error)) from None

    def checked(self, row: np.ndarray) -> np.ndarray:
        """Features or an image of the right shape."""
        expected = self.facts["source_shape"][1:]
        fits = row.ndim == len(expected) and all(n in (None, m) for n, m in zip(expected, row.shape, strict=True))
        if not fits or 0 in row.shape:
            shape = ", ".join("steps" if n is None else str(n) for n in expected)
            raise InputError(f"A source must have the shape [{shape}]. Received: {list(row.shape)}.")
        return row

    def batch(self, rows: list[np.ndarray]) -> np.ndarray:
        """Sources as one array."""
        if self.facts["source"] == "tokens":
            return checked_source(rows, self.facts["source_tokens"])
        if len({row.shape for row in rows}) > 1:
            raise InputError(
                "Features of different lengths must be translated one by one, or in batches of one length."
            )
        return np.stack(rows)


def is_row(source: Any) -> bool:
    """Whether a value is the token ids of a single source.

    >>> is_row([4, 5, 6]), is_row([[4, 5], [6]]), is_row(["a"]), is_row([])
    (True, False, False, False)
    """
    return length_of(source) not in (None, 0) and not isinstance(source[0], str) and length_of(source[0]) is None


def batches(rows: list[np.ndarray], size: int) -> Iterator[list[int]]:
    """The places of sources that have similar lengths, batch by batch, so that little is padded."""
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    yield from (order[i : i + size] for i in range(0, len(order), size))


def by_graph(graph: Graph, source: np.ndarray, steps: int, seed: int, options: Mapping[str, Any]) -> Aligned:
    """One run of the graph with the loop; `options`: of its strategy, where they are its inputs."""
    results = graph.run({"source": source} | loop_feeds(graph, len(source), steps, seed, options))
    tokens = results["generated"]
    attention = results.get("attention", np.zeros((*tokens.shape, 0), np.float32))
    return Aligned(tokens, results["scores"], results["lengths"], attention)


def by_steps(encoder: Graph, step: Graph, source, strategy: Strategy, steps: int, seed: int, facts) -> Aligned:
    """A loop in Python over the graph of one step."""
    steps, seed = whole_number("steps", steps, least=1), whole_number("seed", seed, least=0)
    memory = encoder.run({"source": source})
    states = [memory.pop(state["input"]) for state in step.states]
    every = {name: np.repeat(array, strategy.rows, axis=0) for name, array in memory.items()}

    def scored(tokens, states, memory):
        carried = {state["input"]: array for state, array in zip(step.states, states, strict=True)}
        results = step.run({"token": tokens, **memory, **carried})
        attention = results.get("attention", np.zeros((len(tokens), 0), np.float32))
        return results["logits"], [results[state["output"]] for state in step.states], attention

    first = scored(np.full(len(source), facts["begin"]), states, memory)
    random = noise_of(len(source), steps, seed) if strategy.needs_noise else None
    with bad_settings_as_input_errors():
        return align(
            ops, lambda token, states: scored(token, states, every), first, strategy, steps, random, facts["end"]
        )


def in_words(aligned: Aligned, lengths: list[int], end: int, vocabulary: Vocabulary | None) -> list[list[Translation]]:
    """For each source its translations, the best first. lengths: steps of each source."""
    if aligned.scores.ndim == 1:
        aligned = Aligned(*(x[:, None] for x in aligned))
    return [
        [
            translation(*(x[b, k] for x in aligned), steps=lengths[b], end=end, vocabulary=vocabulary)  # type: ignore[misc]
            for k in range(aligned.scores.shape[1])
            if aligned.scores[b, k] > -1e8  # a place of the beam for which there was no hypothesis
        ]
        for b in range(len(lengths))
    ]


def translation(tokens, score, length, attention, steps: int, end: int, vocabulary: Vocabulary | None) -> Translation:
    count = int(length)
    count -= bool(count and tokens[count - 1] == end)
    text = None if vocabulary is None else vocabulary.decode(tokens[:count])
    own_attention = attention[:count, :steps] if attention.shape[-1] else None
    return Translation(text, float(score), tokens[:count], own_attention)

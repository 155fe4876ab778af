"""Tokens from a bundle: by the graph that holds the loop, or by a loop in Python over the graph of one step."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

import numpy as np

from keras_rnnkit.decoding import DecodingError, Generated, Sampling, Strategy, generate, noise, read_prompts, stream
from keras_rnnkit.ops import numpy as ops
from keras_rnnkit.runtime.arrays import whole_number
from keras_rnnkit.runtime.errors import InputError
from keras_rnnkit.runtime.graph import Graph
from keras_rnnkit.text import Vocabulary
from keras_rnnkit.text.vocabulary import UNKNOWN


def by_graph(
    graph: Graph,
    prompts: tuple[np.ndarray, np.ndarray],
    steps: int,
    seed: int,
    options: Mapping[str, Any],
    fixed: Mapping[str, Any],
) -> Generated:
    """One run of a graph of mode "generate"; `options`: of its strategy, where they are its inputs."""
    tokens, lengths = prompts
    feeds = {graph.facts["tokens"]: tokens, **fixed, **lengths_feed(graph, tokens, lengths)}
    results = graph.run(feeds | loop_feeds(graph, len(tokens), steps, seed, options))
    return Generated(*(results[name] for name in graph.outputs))


def lengths_feed(graph: Graph, tokens: np.ndarray, lengths: np.ndarray) -> dict[str, Any]:
    """The lengths of prompts that are not all of one length."""
    if np.all(lengths == tokens.shape[1]):
        return {}
    if "prompt_lengths" not in graph.facts:
        raise InputError(
            f"The graph {graph.path.name!r} takes prompts of one length only. Received: lengths {lengths.tolist()}. "
            "Export the model again, or pass strategy= to run the loop over the graph of one step."
        )
    return {graph.facts["prompt_lengths"]: lengths}


def loop_feeds(graph: Graph, rows: int, steps: int, seed: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs of a loop inside a graph besides a prompt or a source: noise or steps, and numbers of the strategy."""
    steps = whole_number("steps", steps, least=1)
    seed = whole_number("seed", seed, least=0)
    length = {"noise": noise_of(rows, steps, seed)} if "noise" in graph.kinds else {"steps": np.array(steps)}
    return length | graph.facts["defaults"] | checked_options(graph, options)


def noise_of(rows: int, steps: int, seed: int) -> np.ndarray:
    try:
        return noise(seed, rows, steps)
    except MemoryError as error:
        raise InputError(
            f"The noise of {rows} rows and {steps} steps does not fit into memory. Lower steps."
        ) from error


def checked_options(graph: Graph, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given; InputError for those that the exported strategy does not have, or bad numbers."""
    options = {name: value for name, value in options.items() if value is not None}
    end = options.pop("end", None)
    unknown = [name for name in options if name not in graph.facts["defaults"]]
    if unknown:
        raise InputError(
            f"The graph decodes by {graph.facts['strategy']!r} and has no {unknown[0]!r}. Pass strategy= to decode "
            "otherwise, such as keras_rnnkit.decoding.Sampling(...)."
        )
    if end is not None and end != graph.facts["end"]:
        raise InputError(
            f"The graph ends a row at the token {graph.facts['end']}, and that cannot be changed. Received: end={end}. "
            "Pass strategy= too, or export the model with another end."
        )
    try:
        Sampling(**options)
    except DecodingError as error:
        raise InputError(str(error)) from None
    return options


def refuse_options(strategy: Strategy, options: Mapping[str, Any]) -> None:
    """InputError for options of the exported strategy beside a strategy, which has numbers of its own."""
    names = [name for name, value in options.items() if value is not None]
    if names:
        raise InputError(
            f"{names[0]} is an option of the exported strategy. Received: strategy={type(strategy).__name__}(...) too. "
            "Give the strategy its own numbers, such as keras_rnnkit.decoding.Sampling(temperature=0.8)."
        )


def without_unknown(strategy: Strategy, vocabulary: Vocabulary | None, allow_unknown: bool) -> Strategy:
    """The strategy, which never picks the token of unknown words, where the vocabulary has one and it is not allowed.

    >>> from keras_rnnkit.decoding import Greedy
    >>> vocabulary = Vocabulary.of("ab", reserved=["<pad>", "<unk>"])
    >>> [without_unknown(Greedy(), vocabulary, allow_unknown).forbidden for allow_unknown in (False, True)]
    [(1,), ()]
    """
    unknown = None if vocabulary is None else vocabulary.number(UNKNOWN)
    return strategy if allow_unknown or unknown is None else strategy.forbidding([*strategy.forbidden, unknown])


def refuse_allowing(graph: Graph, allow_unknown: bool) -> None:
    """InputError where the token of unknown words is allowed, and the loop inside the graph forbids it."""
    if allow_unknown and graph.facts.get("forbidden"):
        raise InputError(
            f"The graph {graph.path.name!r} never picks the token of unknown words, and that cannot be changed. "
            "Received: allow_unknown=True. Pass strategy= too, or export the model with allow_unknown=True."
        )


def by_steps(graph: Graph, prompts, strategy: Strategy, steps: int, seed: int, end: int | None, fixed) -> Generated:
    """A loop over a graph of mode "stream"."""
    with bad_settings_as_input_errors():
        return generate(**loop_arguments(graph, prompts, strategy, steps, seed, fixed), end=end)


def tokens_one_by_one(
    graph: Graph, prompts, strategy: Strategy, steps: int, seed: int, end: int | None, fixed
) -> Iterator[np.ndarray]:
    """The tokens [B] as they come. The first one is chosen before this returns, so that errors come at once."""
    arguments = loop_arguments(graph, prompts, strategy, steps, seed, fixed)
    tokens = stream(**arguments, end=end)
    with bad_settings_as_input_errors():
        first = next(tokens)
    return chain([first], tokens)


def loop_arguments(graph: Graph, prompts, strategy: Strategy, steps: int, seed: int, fixed) -> dict[str, Any]:
    """The arguments of a token loop, after the prompts were read and the noise was drawn."""
    tokens, lengths = prompts
    steps, seed = whole_number("steps", steps, least=1), whole_number("seed", seed, least=0)
    loop = StepLoop(graph, fixed, strategy.rows, len(tokens))
    logits, states = loop.read(tokens, lengths)
    random = noise_of(len(tokens), steps, seed) if strategy.needs_noise else None
    arguments = {"ops": ops, "step": loop.step, "logits": logits, "states": states}
    return arguments | {"strategy": strategy, "steps": steps, "noise": random}


@contextlib.contextmanager
def bad_settings_as_input_errors() -> Iterator[None]:
    """Inside, what `keras_rnnkit.decoding` refuses is an InputError."""
    try:
        yield
    except DecodingError as error:
        raise InputError(str(error)) from None


class StepLoop:
    """The graph of a chunk as the step of a token loop.

    Arguments:
        graph: of mode "stream", from tokens to scores of the next token.
        fixed: the other inputs of the model, which stay the same for all tokens.
        hypotheses: rows that the strategy keeps of each sequence.
        rows: sequences.
    """

    def __init__(self, graph: Graph, fixed: Mapping[str, Any], hypotheses: int, rows: int):
        self.graph = graph
        self.fixed = checked_fixed(graph, fixed, rows)
        self.each = {name: np.repeat(array, hypotheses, axis=0) for name, array in self.fixed.items()}
        names = [name for name in graph.inputs if name not in fixed]
        if len(names) != 1 or "int" not in graph.kinds[names[0]]:
            kinds = ", ".join(f"{name!r} {graph.kinds[name]}" for name in names)
            raise InputError(
                f"The model must go from one input of tokens to scores of the next one. Received: the inputs {kinds}. "
                "Pass the values of all others by name."
            )
        (self.tokens,) = names

    def read(self, tokens: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        """(logits, states) after the prompts."""
        count = len(self.graph.states)

        def read(tokens, states_and_fixed):
            fixed = dict(zip(self.fixed, states_and_fixed[count:], strict=True))
            logits, states = self.scores(tokens, states_and_fixed[:count], fixed)
            return logits, [*states, *states_and_fixed[count:]]

        start = [*self.graph.start(len(tokens)).values(), *self.fixed.values()]
        logits, after = read_prompts(ops, read, tokens, start, lengths)
        return logits, after[:count]

    def step(self, tokens: np.ndarray, states: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
        """(logits, states) after one more token of each row."""
        return self.scores(tokens[:, None], states, self.each)

    def scores(self, tokens, states, fixed) -> tuple[np.ndarray, list[np.ndarray]]:
        carried = {state["input"]: array for state, array in zip(self.graph.states, states, strict=True)}
        results = self.graph.run_arrays({self.tokens: self.graph.checked(self.tokens, tokens), **fixed, **carried})
        y = results[self.graph.outputs[0]]
        y = y[:, -1] if y.ndim == 3 else y
        return logits_of(y), [results[state["output"]] for state in self.graph.states]


def checked_fixed(graph: Graph, fixed: Mapping[str, Any], rows: int) -> dict[str, np.ndarray]:
    """Inputs that stay the same from chunk to chunk, as arrays with that many rows."""
    unknown = [name for name in fixed if name not in graph.inputs]
    if unknown:
        names = ", ".join(map(repr, graph.inputs))
        raise InputError(f"The graph has no input {unknown[0]!r}. It takes {names}.")
    arrays = {name: graph.checked(name, value) for name, value in fixed.items()}
    for name, array in arrays.items():
        if len(array) != rows:
            raise InputError(f"The input {name!r} must have {rows} rows, as all others. Received: {len(array)}.")
    return arrays


def logits_of(y: np.ndarray) -> np.ndarray:
    """Logits from what the model gives, probabilities or logits."""
    probabilities = bool(np.all(y >= 0) and np.allclose(y.sum(-1), 1, atol=1e-3))
    return np.log(np.maximum(y, 1e-30)) if probabilities else y

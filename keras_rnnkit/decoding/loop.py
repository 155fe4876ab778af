"""The token loop."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_rnnkit.decoding.errors import DecodingError
from keras_rnnkit.decoding.strategy import WHOLE, Strategy
from keras_rnnkit.ops.protocol import Array, Ops

Step = Callable[[Array, list[Array]], tuple[Array, Sequence[Array]]]
"""(logits [R, V], states) = step(tokens [R], states)."""


class Generated(NamedTuple):
    """tokens [B, N], scores [B], lengths [B]; with a beam of K [B, K, N], [B, K], [B, K], the best first.

    N is as long as the longest row; shorter ones repeat the end token. A score is a sum of log-probabilities.
    """

    tokens: Array
    scores: Array
    lengths: Array


def noise(seed: int, batch: int, steps: int) -> np.ndarray:
    """Uniform numbers [batch, steps] for `Sampling`: the same seed makes the same text wherever the model runs."""
    for name, number, least in (("seed", seed, 0), ("batch", batch, 1), ("steps", steps, 1)):
        if not is_whole(number) or number < least:
            raise DecodingError(f"{name} must be a whole number, {least} or more. Received: {name}={number!r}.")
    return np.random.default_rng(seed).random((batch, steps), dtype=np.float32)


def generate(
    ops: Ops,
    step: Step,
    logits: Array,
    states: Sequence[Array],
    strategy: Strategy,
    steps: int,
    noise: Array | None = None,
    end: int | None = None,
) -> Generated:
    """Tokens from the scores of the first one on, until every row has met `end`, at most `steps`.

    Arguments:
        ops: the reading that logits and states belong to, `keras_rnnkit.ops.numpy` or `keras_rnnkit.ops.keras`.
        step: the model over one token.
        logits: [B, V], the scores of the first token. states: what goes with them, each [B, ...].
        noise: [B, steps or more], uniform in [0, 1), for a strategy that draws.

    >>> import keras_rnnkit.ops.numpy as ops
    >>> from keras_rnnkit.decoding import Greedy
    >>> follow = np.array([[0, 9, 0], [0, 0, 9], [9, 0, 0]], np.float32)  # 0 -> 1 -> 2 -> 0
    >>> generate(ops, lambda token, states: (follow[token], states), follow[[0]], [], Greedy(), steps=5, end=0).tokens
    array([[1, 2, 0]])
    """
    turn = finished(walk(ops, step, logits, states, strategy, steps, noise, end))
    return Generated(*strategy.result(ops, turn.carry, turn.tokens))


def stream(
    ops: Ops,
    step: Step,
    logits: Array,
    states: Sequence[Array],
    strategy: Strategy,
    steps: int,
    noise: Array | None = None,
    end: int | None = None,
) -> Iterator[Array]:
    """The tokens [B] of `generate` as they come, for a strategy that never takes one back.

    >>> import keras_rnnkit.ops.numpy as ops
    >>> from keras_rnnkit.decoding import Greedy
    >>> follow = np.array([[0, 9, 0], [0, 0, 9], [9, 0, 0]], np.float32)
    >>> for token in stream(ops, lambda token, states: (follow[token], states), follow[[0]], [], Greedy(), steps=2):
    ...     print(token)
    [1]
    [2]
    """
    if strategy.rows > 1:
        raise DecodingError(
            f"stream gives tokens that stay, and {type(strategy).__name__} keeps {strategy.rows} hypotheses and may "
            "drop what it gave. Use generate, or a strategy of one row a sequence such as Sampling."
        )
    return (turn.carry.token for turn in walk(ops, step, logits, states, strategy, steps, noise, end))


def walk(ops, step, logits, states, strategy, steps, noise, end) -> Iterator[Turn]:
    """Every turn of the loop, with `step` between two of them."""
    loop = turns(ops, logits, states, strategy, steps, noise, end)
    turn = next(loop)
    yield turn
    while not turn.last:
        turn = loop.send(step(turn.carry.token, list(turn.states)))
        yield turn


def finished(turns: Iterable[Turn]) -> Turn:
    """The last turn; the states of the others are let go."""
    return deque(turns, maxlen=1).pop()


class Turn(NamedTuple):
    """One token of each row. carry: the strategy's own; tokens: all so far [R, n]; states: what goes with them."""

    carry: Any
    tokens: Array
    states: list[Array]
    last: bool


def turns(ops, logits, states, strategy, steps, noise, end) -> Generator[Turn, tuple[Array, Sequence[Array]], None]:
    """The loop itself: gives a turn, and is sent (logits, states) of the step after it, however they are come by."""
    check(strategy, steps, noise, logits, end)
    logits, states = widened(ops, strategy, logits, list(states))
    carry, tokens = strategy.begin(ops, logits), None
    for t in range(steps):
        carry, rows = strategy.advance(ops, carry, logits, None if noise is None else noise[:, t], end)
        tokens = appended(ops, tokens, rows, carry.token)
        states = states if rows is None else [ops.take(state, rows, axis=0) for state in states]
        last = t == steps - 1 or float(ops.sum(ops.reshape(strategy.over(ops, carry), (-1,)) - 1.0)) > -0.5
        given = yield Turn(carry, tokens, states, last)
        if not last:
            logits, states = given


def widened(ops: Ops, strategy: Strategy, logits: Array, states: list[Array]) -> tuple[Array, list[Array]]:
    """Each row as often as the strategy has hypotheses."""
    if strategy.rows == 1:
        return logits, states
    each = ops.cast(ops.zeros_like(logits[:, :1]), WHOLE) + np.ones((1, strategy.rows), np.int64)
    rows = ops.reshape(ops.cumsum(each, axis=0) - 1, (-1,))
    return ops.take(logits, rows, axis=0), [ops.take(state, rows, axis=0) for state in states]


def appended(ops: Ops, tokens: Array | None, rows: Array | None, token: Array) -> Array:
    """All tokens so far [R, n + 1], each row going on from where `rows` says."""
    column = ops.expand_dims(token, 1)
    if tokens is None:
        return column
    return ops.concatenate([tokens if rows is None else ops.take(tokens, rows, axis=0), column], axis=1)


def check(strategy: Strategy, steps: int, noise: Array | None, logits: Array, end: int | None) -> None:
    if not is_whole(steps) or steps < 1:
        raise DecodingError(f"steps must be a number of tokens, 1 or more. Received: steps={steps}.")
    if end is not None and not (is_whole(end) and 0 <= end < logits.shape[-1]):
        raise DecodingError(
            f"end must be one of the {logits.shape[-1]} tokens, 0 to {logits.shape[-1] - 1}, or None where no token "
            f"ends a row. Received: end={end}."
        )
    if not strategy.needs_noise:
        return
    rows, shape = logits.shape[0], [] if noise is None else list(noise.shape)
    if len(shape) != 2 or shape[0] != rows or shape[1] < steps:
        raise DecodingError(
            f"{type(strategy).__name__} draws, and needs noise [{rows}, {steps}], uniform in [0, 1), such as "
            f"decoding.noise(seed, {rows}, {steps}). Received: {shape or None}."
        )


def is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)

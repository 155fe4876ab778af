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
    """Generate tokens, from the scores of the first one, until every row has reached `end` or has `steps` tokens.

    Arguments:
        ops: the reading that logits and states belong to, `keras_rnnkit.ops.numpy` or `keras_rnnkit.ops.keras`.
        step: the model over one token.
        logits: [B, V], the scores of the first token; after prompts `read_prompts` gives them.
        states: the states of the model after the same tokens as the logits, each [B, ...].
        strategy: chooses the tokens.
        steps: the largest number of tokens of a row.
        noise: [B, steps or more], uniform in [0, 1), for a strategy that draws.
        end: the token that ends a row; None if no token does.

    >>> import keras_rnnkit.ops.numpy as ops
    >>> from keras_rnnkit.decoding import Greedy
    >>> follow = np.array([[0, 9, 0], [0, 0, 9], [9, 0, 0]], np.float32)  # 0 -> 1 -> 2 -> 0
    >>> generate(ops, lambda token, states: (follow[token], states), follow[[0]], [], Greedy(), steps=5, end=0).tokens
    array([[1, 2, 0]])
    """
    last = last_step(run_steps(ops, step, logits, states, strategy, steps, noise, end))
    return Generated(*strategy.result(ops, last.carry, last.tokens))


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
    """The tokens [B] of `generate` as they come, for a strategy that never takes one back. Arguments as for `generate`.

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
            f"stream yields tokens that do not change later, and {type(strategy).__name__} keeps {strategy.rows} "
            "hypotheses, of which it may drop any. Use generate, or a strategy of one row a sequence such as Sampling."
        )
    return (each.carry.token for each in run_steps(ops, step, logits, states, strategy, steps, noise, end))


def run_steps(ops, step, logits, states, strategy, steps, noise, end) -> Iterator[TokenStep]:
    """Every step of the loop, with a call of the model between two of them."""
    loop = token_steps(ops, logits, states, strategy, steps, noise, end)
    current = next(loop)
    yield current
    while not current.last:
        current = loop.send(step(current.carry.token, list(current.states)))
        yield current


def last_step(steps: Iterable[TokenStep]) -> TokenStep:
    """The last of the steps. The states of each are released as soon as the next one exists."""
    return deque(steps, maxlen=1).pop()


class TokenStep(NamedTuple):
    """A step of the loop, with one token for each row.

    carry: the state of the strategy. tokens: all tokens so far [R, n]. states: those of the model after these tokens.
    last: whether the loop ends here.
    """

    carry: Any
    tokens: Array
    states: list[Array]
    last: bool


def token_steps(
    ops, logits, states, strategy, steps, noise, end
) -> Generator[TokenStep, tuple[Array, Sequence[Array]], None]:
    """The loop itself, without the model: yields a step, and is sent the (logits, states) that follow its tokens.

    The caller decides how the model runs: at once, or in a batch with others.
    """
    check(strategy, steps, noise, logits, end)
    logits, states = widened(ops, strategy, logits, list(states))
    carry, tokens = strategy.begin(ops, logits), None
    for t in range(steps):
        carry, rows = strategy.advance(ops, carry, logits, None if noise is None else noise[:, t], end)
        tokens = appended(ops, tokens, rows, carry.token)
        states = states if rows is None else [ops.take(state, rows, axis=0) for state in states]
        last = t == steps - 1 or float(ops.sum(ops.reshape(strategy.over(ops, carry), (-1,)) - 1.0)) > -0.5
        following = yield TokenStep(carry, tokens, states, last)
        if not last:
            logits, states = following


def widened(ops: Ops, strategy: Strategy, logits: Array, states: list[Array]) -> tuple[Array, list[Array]]:
    """Each row repeated once for each hypothesis of the strategy."""
    if strategy.rows == 1:
        return logits, states
    each = ops.cast(ops.zeros_like(logits[:, :1]), WHOLE) + np.ones((1, strategy.rows), np.int64)
    rows = ops.reshape(ops.cumsum(each, axis=0) - 1, (-1,))
    return ops.take(logits, rows, axis=0), [ops.take(state, rows, axis=0) for state in states]


def appended(ops: Ops, tokens: Array | None, rows: Array | None, token: Array) -> Array:
    """All tokens so far [R, n + 1]. `rows` has for each row the row that it continues."""
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
    if sum(token < logits.shape[-1] for token in strategy.forbidden) == logits.shape[-1]:
        raise DecodingError(f"All {logits.shape[-1]} tokens are forbidden. Allow one of them or more.")
    if end in strategy.forbidden:
        raise DecodingError(f"The token {end} ends a row, and it is forbidden. Allow it, or give another end.")
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

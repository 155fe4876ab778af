"""Prompts of different lengths in one batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from keras_rnnkit.decoding.errors import DecodingError
from keras_rnnkit.ops.protocol import Array, Ops

ReadPrompt = Callable[[Array, list[Array]], tuple[Array, Sequence[Array]]]
"""(logits [R, V] of the token after the last one, states) = read(tokens [R, T], states)."""


def pad_prompts(prompts: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """(tokens [B, T] padded with 0 at the end, lengths [B]) of a list of prompts, each the ids of its tokens.

    >>> tokens, lengths = pad_prompts([[4, 5, 6], [7]])
    >>> tokens.tolist(), lengths.tolist()
    ([[4, 5, 6], [7, 0, 0]], [3, 1])
    """
    if not len(prompts):
        raise DecodingError("There must be one prompt or more. Received: an empty list.")
    rows = [checked_prompt(prompt, number) for number, prompt in enumerate(prompts)]
    lengths = np.array([len(row) for row in rows], np.int64)
    tokens = np.zeros((len(rows), lengths.max()), np.int64)
    for row, prompt in zip(tokens, rows, strict=True):
        row[: len(prompt)] = prompt
    return tokens, lengths


def checked_prompt(prompt: Any, number: int) -> np.ndarray:
    try:
        tokens = np.asarray(prompt)
    except (ValueError, TypeError) as error:
        raise DecodingError(f"Prompt {number} must be a list of token ids. Received: {error}.") from error
    if tokens.ndim != 1 or not tokens.size:
        raise DecodingError(
            f"Prompt {number} must be a list of one token id or more. Received: the shape {list(tokens.shape)}."
        )
    if tokens.dtype.kind not in "iu" or (tokens.dtype.kind == "u" and int(tokens.max()) >= 2**63):
        raise DecodingError(f"Prompt {number} must hold token ids, which are whole numbers. Received: {tokens.dtype}.")
    return tokens


def read_prompts(
    ops: Ops,
    read: ReadPrompt,
    tokens: Array,
    states: Sequence[Array],
    lengths: Any = None,
) -> tuple[Array, list[Array]]:
    """(logits [B, V], states) of each row after its own prompt.

    Prompts of one length are read together, so each row has the same result as alone, and its padding is not read.

    Arguments:
        ops: the reading that the arrays belong to, `keras_rnnkit.ops.numpy` or `keras_rnnkit.ops.keras`.
        read: the model over a chunk of tokens.
        tokens: [B, T], each prompt from the first column on. states: those that rows begin with, each [B, ...].
        lengths: the tokens of each prompt [B], 1 to T; None where all have T.

    >>> import keras_rnnkit.ops.numpy as ops
    >>> add = lambda tokens, states: (tokens[:, -1:], [states[0] + tokens.sum(axis=1)])
    >>> tokens, lengths = pad_prompts([[4, 5, 6], [7]])
    >>> logits, (total,) = read_prompts(ops, add, tokens, [np.zeros(2, int)], lengths)
    >>> logits.tolist(), total.tolist()
    ([[6], [7]], [15, 7])
    """
    by_length = rows_by_length(lengths, *(int(n) for n in tokens.shape))
    if len(by_length) == 1:
        (length,) = by_length
        logits, states = read(tokens[:, :length], list(states))
        return logits, list(states)
    answers = []
    for length, rows in by_length.items():
        own = [ops.take(state, rows, axis=0) for state in states]
        logits, after = read(ops.take(tokens, rows, axis=0)[:, :length], own)
        answers.append([logits, *after])
    back = np.argsort(np.concatenate(list(by_length.values())))
    logits, *after = (
        ops.take(ops.concatenate(list(arrays), axis=0), back, axis=0) for arrays in zip(*answers, strict=True)
    )
    return logits, after


def rows_by_length(lengths: Any, rows: int, longest: int) -> dict[int, np.ndarray]:
    """The rows that have each length, in the order of their rows.

    >>> {length: rows.tolist() for length, rows in rows_by_length([3, 1, 3], rows=3, longest=3).items()}
    {3: [0, 2], 1: [1]}
    """
    if lengths is None:
        return {longest: np.arange(rows)}
    array = np.asarray(lengths)
    fits = array.shape == (rows,) and array.dtype.kind in "iu" and array.min() >= 1 and array.max() <= longest
    if not fits:
        raise DecodingError(
            f"lengths must be {rows} whole numbers from 1 to {longest}, one for each prompt. Received: "
            f"{array.tolist()}."
        )
    return {int(length): np.flatnonzero(array == length) for length in dict.fromkeys(array.tolist())}

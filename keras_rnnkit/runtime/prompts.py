"""Prompts as tokens: texts, lists of ids, arrays; of one length or of different ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_rnnkit.decoding import DecodingError, pad_prompts
from keras_rnnkit.runtime.errors import InputError
from keras_rnnkit.text import TextError, Vocabulary


def tokens_of(prompt: Any, vocabulary: Vocabulary | None) -> tuple[np.ndarray, np.ndarray]:
    """(tokens [B, T], lengths [B]) of a prompt or of several.

    Arguments:
        prompt: a text or token ids [time]; or for several rows a list of these, or an array [batch, time].

    >>> tokens, lengths = tokens_of([[4, 5, 6], [7]], None)
    >>> tokens.tolist(), lengths.tolist()
    ([[4, 5, 6], [7, 0, 0]], [3, 1])
    >>> tokens_of([4, 5], None)[0].tolist()
    [[4, 5]]
    """
    try:
        return pad_prompts([encoded(row, vocabulary) for row in rows_of(prompt)])
    except DecodingError as error:
        raise InputError(str(error)) from None


def rows_of(prompt: Any) -> Any:
    """The prompts of all rows."""
    if isinstance(prompt, str) or not hasattr(prompt, "__len__") or isinstance(prompt, dict):
        return [prompt]
    if isinstance(prompt, np.ndarray):
        return np.atleast_2d(prompt)
    return prompt if len(prompt) and (isinstance(prompt[0], str) or np.ndim(prompt[0])) else [prompt]


def encoded(prompt: Any, vocabulary: Vocabulary | None) -> Any:
    """The tokens of a text; what is not a text comes back as it is."""
    if not isinstance(prompt, str):
        return prompt
    if vocabulary is None:
        raise InputError(
            "The bundle has no vocabulary, so a prompt must be the ids of its tokens. Export it with vocabulary=, or "
            "pass ids."
        )
    try:
        return vocabulary.encode(prompt)
    except TextError as error:
        raise InputError(str(error)) from None

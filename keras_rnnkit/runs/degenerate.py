"""Models that write nothing, or always the same: the user is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

INPUT = "the model does not look at its input"


def degenerate(texts: Sequence[str], kind: str, reason: str = INPUT) -> str | None:
    """A sentence about texts that are all empty or nearly all the same; None where there is nothing to say.

    Arguments:
        texts: what a model wrote for different inputs.
        kind: what the texts are, in the plural, such as "translations".
        reason: what it means where nearly all are the same.

    >>> degenerate(["", "a", ""], "captions")
    '2 of 3 captions are empty: the model ends at once. Train it longer, or on more data.'
    >>> degenerate(["a b", "a b", "a b"], "captions")
    "3 of 3 captions are the same, 'a b': the model does not look at its input. Train it longer, or on more data."
    >>> degenerate(["a", "b", "c"], "captions")
    """
    if len(texts) < 2:
        return None
    text, count = Counter(texts).most_common(1)[0]
    if not text and 2 * count >= len(texts):
        return f"{count} of {len(texts)} {kind} are empty: the model ends at once. Train it longer, or on more data."
    if count >= 0.9 * len(texts):
        return (
            f"{count} of {len(texts)} {kind} are the same, {text[:40]!r}: {reason}. Train it longer, or on more data."
        )
    return None


def repetitive(text: str) -> str | None:
    """A sentence about a sampled text that is empty or repeats one token; None where there is nothing to say.

    >>> repetitive("aaaaaaaaaaaaaaaaaaaaaaaaaaa")
    "The sample repeats 'a'. The model has learned little; train it longer, or on more text."
    >>> repetitive("all the world's a stage")
    """
    if not text.strip():
        return "The sample is empty. The model has learned little; train it longer, or on more text."
    token, count = Counter(text.split() if " " in text.strip() else text).most_common(1)[0]
    total = len(text.split()) if " " in text.strip() else len(text)
    if total >= 10 and count >= 0.9 * total:
        return f"The sample repeats {token!r}. The model has learned little; train it longer, or on more text."
    return None

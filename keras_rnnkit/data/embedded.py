"""Texts that need no download."""

from __future__ import annotations

import re


def python_topics() -> str:
    """The help topics of Python's documentation, about 600,000 characters of English.

    The topics quote each other. Each paragraph is kept once, so that held-out text does not occur in training.
    """
    from pydoc_data.topics import topics

    return "\n\n".join(dict.fromkeys("\n\n".join(topics.values()).split("\n\n")))


def english_words() -> list[str]:
    """The different lower-case words of those topics with three letters or more, in alphabetical order."""
    return sorted(set(re.findall(r"\b[a-z]{3,}\b", python_topics())))

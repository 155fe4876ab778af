"""Texts that are there without a network."""

from __future__ import annotations

import re


def python_topics() -> str:
    """The help topics of Python's documentation, some 600,000 characters of English.

    They quote each other, so each paragraph is kept once: what is held out must be new.
    """
    from pydoc_data.topics import topics

    return "\n\n".join(dict.fromkeys("\n\n".join(topics.values()).split("\n\n")))


def english_words() -> list[str]:
    """The different words of those topics, lower case, three letters or more, in alphabetical order."""
    return sorted(set(re.findall(r"\b[a-z]{3,}\b", python_topics())))

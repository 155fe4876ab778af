"""Texts that are there without a network."""

from __future__ import annotations


def python_topics() -> str:
    """The help topics of Python's documentation, some 600,000 characters of English.

    They quote each other, so each paragraph is kept once: what is held out must be new.
    """
    from pydoc_data.topics import topics

    return "\n\n".join(dict.fromkeys("\n\n".join(topics.values()).split("\n\n")))

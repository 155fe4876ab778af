"""Prepares docstrings for Markdown: examples and shapes such as [B, T, D] become code, arguments become lists.

Markdown takes `>>>` for quotations, and two shapes in a row for a link; griffe knows a list of arguments by the word
"Arguments" alone, with a title behind its colon.
"""

from __future__ import annotations

import re

from griffe import Docstring, Extension, Object

EXAMPLE = re.compile(r"(?:^[ ]*>>> .*\n?(?:^[ ]*\S.*\n?)*)+", re.MULTILINE)
SHAPE = re.compile(r"(?<![`\w\[])\[(?:[A-Z]|\.\.\.)(?:, [\w. ]+?)*\](?![`(])")
ARGUMENTS = re.compile(r"^((?:Call a|A)rguments[^:\n]*(?:\n[^:\n]+)?):\n(?=    )", re.MULTILINE)


def fenced(text: str) -> str:
    """The text with each example inside a fence, and the shapes of the rest as code."""
    pieces, end = [], 0
    for match in EXAMPLE.finditer(text):
        pieces += [SHAPE.sub(r"`\g<0>`", text[end : match.start()]), f"```pycon\n{match[0].rstrip()}\n```\n"]
        end = match.end()
    return "".join([*pieces, SHAPE.sub(r"`\g<0>`", text[end:])])


def titled(text: str) -> str:
    """The text with `Arguments, besides those of X:` as the title of a list of arguments."""
    return ARGUMENTS.sub(lambda match: f"Arguments: {' '.join(match[1].replace('`', '').split())}:\n", text)


class Docstrings(Extension):
    """A griffe extension, named in mkdocs.yml."""

    def on_instance(self, *, obj: Object, **kwargs) -> None:
        if isinstance(obj.docstring, Docstring):
            obj.docstring.value = fenced(titled(obj.docstring.value))

"""Shows the examples of docstrings as code: Markdown would take `>>>` for quotations."""

from __future__ import annotations

import re

from griffe import Docstring, Extension, Object

EXAMPLE = re.compile(r"(?:^[ ]*>>> .*\n?(?:^[ ]*\S.*\n?)*)+", re.MULTILINE)


def fenced(text: str) -> str:
    """The text with each example inside a fence."""
    return EXAMPLE.sub(lambda match: f"```pycon\n{match[0].rstrip()}\n```\n", text)


class Doctests(Extension):
    """A griffe extension, named in mkdocs.yml."""

    def on_instance(self, *, obj: Object, **kwargs) -> None:
        if isinstance(obj.docstring, Docstring):
            obj.docstring.value = fenced(obj.docstring.value)

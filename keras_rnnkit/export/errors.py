"""The error of an export, and the words of other errors in it."""

from __future__ import annotations

import re


class ExportError(ValueError):
    """The model was not exported: what came, what was expected, what to do. No file is left behind."""


def first_lines(error: Exception) -> str:
    """An error's own words: Keras puts the layer's call before them, its arguments behind, and colours between."""
    text = re.sub(r"\x1b\[[0-9;]*m|\{\{[^}]*\}\}|\[Op:\w+\]( name:)?", "", str(error))
    text = re.sub(r"^Exception encountered when calling \S+ ", "", " ".join(text.split()))
    text = text.split(" Arguments received by ")[0].strip()
    return text if len(text) < 600 else text[:600] + " ..."

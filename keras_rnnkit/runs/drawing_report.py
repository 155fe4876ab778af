"""The scores of models that draw, as tables of the report."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from keras_rnnkit.runs.page import percent

UNITS = ("bits a pixel", "nats a point")


def results(metrics: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The numbers of the report, by what they are of: a table of images, and one of strokes.

    Arguments:
        metrics: the numbers of a run.
        names: the names of the ways to draw.

    >>> metrics = {"judged on, rows": "9 images", "bits a pixel, rows": 0.5, "bits a pixel, without memory, rows": 1.0}
    >>> results(metrics, ["pixels", "rows"])
    {'9 images': {'rows': {'bits a pixel': 0.5, 'by a model without memory': 1.0}}}
    """
    tables: dict[str, Any] = {}
    for name in [name for name in names if f"judged on, {name}" in metrics]:
        unit = next(unit for unit in UNITS if f"{unit}, {name}" in metrics)
        row = {
            unit: metrics[f"{unit}, {name}"],
            "by a model without memory": metrics[f"{unit}, without memory, {name}"],
        }
        if f"recognized, {name}" in metrics:  # by the label of the most similar training image
            row[f"recognized of {metrics['drawings']:,} drawings"] = percent(metrics[f"recognized, {name}"])
        tables.setdefault(metrics[f"judged on, {name}"], {})[name] = row
    return tables

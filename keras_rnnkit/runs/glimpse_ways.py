"""The ways in which the glimpses pipeline reads an image: their names, their order of places, and how much they see."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_rnnkit.data.patches import random_order, row_order, scan_order

NAMES = {
    "policy": "learned places",
    "scan": "from the middle outwards",
    "rows": "row by row",
    "pixels": "pixel by pixel",
    "permuted": "pixels in random order",
    "cnn": "convolutional network",
}
PIXEL_WAYS = ("pixels", "permuted")
"""Ways that read single pixels and are judged after the last one: tests of a long memory."""


def patch_of(settings: Any, way: str) -> int:
    """The height and width of a glimpse in pixels."""
    return 1 if way in PIXEL_WAYS else settings.patch


def order_of(settings: Any, way: str) -> np.ndarray | None:
    """The places that a way looks at, None where it chooses them."""
    side = settings.size // patch_of(settings, way)
    orders = {"scan": scan_order, "rows": row_order, "pixels": row_order}
    if way == "permuted":
        return random_order(side, settings.seed)
    return orders[way](side) if way in orders else None


def glimpses_to_report(way: str, longest: int, settings: Any) -> list[int]:
    """After how many glimpses a way is judged: as many as the policy has, and all."""
    return [longest] if way in PIXEL_WAYS else sorted({min(settings.glimpses, longest), longest})


def share_seen(way: str, glimpses: int, size: int, settings: Any) -> float:
    """The share of the pixels in a number of glimpses. No place is looked at twice, and patches do not overlap."""
    return 1.0 if way == "cnn" else glimpses * patch_of(settings, way) ** 2 / size**2

"""What is said about models that read images in glimpses."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_rnnkit.runs.page import percent


def right_after_each(outputs: dict[str, np.ndarray], numbers: np.ndarray) -> list[float]:
    """The share of images whose label is right, after each glimpse."""
    return (outputs["label"].argmax(-1) == numbers[:, None]).mean(0).tolist()


def results_of(metrics: dict[str, Any]) -> dict[str, Any]:
    """The numbers of the report, by what they are of."""
    valid, test = metrics["images"].values()
    names = {
        "right": f"right labels, {valid:,} validation images and {test:,} test images",
        "same places through onnxruntime": f"same places through onnxruntime, {test:,} test images",
    }
    shares = {title: percent(metrics[name]) for name, title in names.items() if name in metrics}
    return shares | {name: x for name, x in metrics.items() if name.startswith("largest")}

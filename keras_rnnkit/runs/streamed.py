"""Whether a bundle gives step by step what Keras gives for whole sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_rnnkit.runs.errors import RunError

TOLERANCE = 1e-5


def step_by_step(bundle: Any, x: np.ndarray) -> np.ndarray:
    """The outputs [N, T, ...] of sequences [N, T, ...] of which a stream sees one step after the other."""
    stream = bundle.stream(rows=len(x))
    return np.concatenate([stream.push(x[:, t : t + 1]) for t in range(x.shape[1])], axis=1)


def check_streamed(expected: Sequence[np.ndarray], streamed: Sequence[np.ndarray]) -> float:
    """The largest difference between probabilities of Keras and of a bundle; a larger one than 1e-5 is an error."""
    difference = max(float(np.abs(a - b).max()) for a, b in zip(expected, streamed, strict=True))
    if not difference <= TOLERANCE:
        raise RunError(
            f"The bundle does not give what Keras gives: probabilities differ by {difference:.1e}, and {TOLERANCE:.0e} "
            "is allowed. Nothing is reported. Export again, or report this as a defect."
        )
    return difference

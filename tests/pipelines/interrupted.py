"""Runs of pipelines that are interrupted after training, and the weights they leave."""

from unittest.mock import Mock, patch

import numpy as np
import pytest

from keras_rnnkit.runs.best import read_best
from keras_rnnkit.runs.folder import RunFolder


def trained(pipeline, settings):
    """The best weights of a run that is interrupted before its export."""
    with patch.object(pipeline, "export", Mock(side_effect=KeyboardInterrupt)), pytest.raises(KeyboardInterrupt):
        pipeline.run(settings)
    return best_weights(settings.out)


def best_weights(folder):
    """The best weights of the run in a folder."""
    return read_best(folder / "best.npz", RunFolder(folder).record["run"])


def same(weights, others):
    return len(weights) == len(others) and all(np.array_equal(a, b) for a, b in zip(weights, others, strict=True))

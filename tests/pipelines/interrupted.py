"""Runs of pipelines that are interrupted after training, and the weights they leave."""

from unittest.mock import Mock, patch

import numpy as np
import pytest


def trained(pipeline, settings):
    """The best weights of a run that is interrupted before its export."""
    with patch.object(pipeline, "export", Mock(side_effect=KeyboardInterrupt)), pytest.raises(KeyboardInterrupt):
        pipeline.run(settings)
    with np.load(settings.best) as kept:
        return [kept[name] for name in kept.files]


def same(weights, others):
    return len(weights) == len(others) and all(np.array_equal(a, b) for a, b in zip(weights, others, strict=True))

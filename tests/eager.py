"""TensorFlow without graphs, for tests that run a few batches: tracing a training takes seconds, and a batch none."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def eagerly() -> Iterator[None]:
    """Inside, functions of TensorFlow run line by line. Exports are traced all the same."""
    import tensorflow as tf

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not apply to tf.data functions")
        tf.config.run_functions_eagerly(True)
        try:
            yield
        finally:
            tf.config.run_functions_eagerly(False)

"""`tf.data` datasets that hand over to the next epoch at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def untuned(dataset: Any) -> Any:
    """A `tf.data.Dataset` without TensorFlow's tuning of buffer sizes, which makes each epoch of training end late.

    TensorFlow 2.21 tunes in a thread that sleeps 10 ms, then 20, 40 and so on up to a minute, and whoever lets go of an
    iterator waits until that thread wakes up. About half of the epochs of a `model.fit` took up to twice their time so,
    with nothing computed. The batches stay the same. Sizes given as `tf.data.AUTOTUNE` are no longer tuned.

    >>> import tensorflow as tf
    >>> [int(number) for number in untuned(tf.data.Dataset.range(3))]
    [0, 1, 2]
    """
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def numbered_batches(first: int, end: int, batch: Callable[[Any], Any]) -> Any:
    """A `tf.data.Dataset` of `batch(number)` for the numbers from `first` to before `end`, a few read ahead."""
    # A range of numbers has a known length, and Keras counts one step too many where it has to find out. Training steps
    # on a CPU took up to twice as long with `tf.data.Dataset.from_generator`.
    import tensorflow as tf

    batch = tf.autograph.experimental.do_not_convert(batch)  # converting it would take longer than tracing it
    return untuned(tf.data.Dataset.range(first, end).map(batch).prefetch(4))

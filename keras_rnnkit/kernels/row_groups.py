"""Masked batches in groups of rows of about the same length, so that short rows do not wait for the longest."""

from __future__ import annotations

import tensorflow as tf

FEWEST_ROWS = 16
"""Rows from which two groups are faster than one loop over all of them."""


def pays(recurrence, inputs) -> bool:
    """Whether to run the rows in groups. A batch of unknown size is taken for a large one."""
    batch = inputs.mask.shape[1]
    whole = recurrence.cell.needs_all_steps or recurrence.cell.adds_noise  # these look at the batch as one
    return not whole and (batch is None or batch >= FEWEST_ROWS)


def run(run_rows, steps, active, carry, consts):
    """What `run_rows(steps, carry, consts)` returns, stacks [T, B, ...]: the longer rows in one call, then the others.

    active: the steps [T, B] that may change something.
    """
    times = tf.range(1, tf.shape(active)[0] + 1)[:, None]
    lengths = tf.reduce_max(tf.where(active, times, 0), axis=0)
    order = tf.argsort(lengths, direction="DESCENDING", stable=True)
    inverse = tf.argsort(order)
    half = (tf.shape(order)[0] + 1) // 2
    ordered = tf.nest.map_structure(lambda x: permuted(x, order, inverse, axis=1), steps)
    rows = tf.nest.map_structure(lambda x: permuted(x, order, inverse, axis=0), (carry, consts))
    groups = []
    for cut in (slice(None, half), slice(half, None)):
        some = tf.nest.map_structure(lambda x, cut=cut: x[:, cut], ordered)
        groups.append(run_rows(some, *tf.nest.map_structure(lambda x, cut=cut: x[cut], rows)))
    return [permuted(tf.concat(both, axis=1), inverse, order, axis=1) for both in zip(*groups, strict=True)]


def permuted(x, order, inverse, axis: int):
    """The rows in another order. Written out, because the gradient that TensorFlow knows of a gather is a slow one."""

    @tf.custom_gradient
    def run(x):
        return tf.gather(x, order, axis=axis), lambda d: tf.gather(d, inverse, axis=axis)

    return run(x)

"""A batch in groups of rows, whose loops run side by side: each on a core of its own, without waiting for the others.

The steps of one loop wait for each other, and the products of a step are too small for two cores to share: with 50 rows
of an LSTM of 128 units, both cores together need 55 to 85 microseconds for the product of a step, and each core
alone 35 for its half. Masked batches gain more, because rows of about the same length come into one group, and
the loop of a group ends at its longest row.
"""

from __future__ import annotations

import tensorflow as tf


def run(run_rows, steps, active, carry, consts, count: int):
    """What `run_rows(steps, carry, consts)` returns, stacks [T, B, ...], computed in `count` groups of rows.

    active: the steps [T, B] that may change something, for a masked batch: longer rows then come into the first group.
    """
    if active is not None:
        order = by_length(active)
        inverse = tf.argsort(order)
        steps = tf.nest.map_structure(lambda x: permuted(x, order, inverse, axis=1), steps)
        carry, consts = tf.nest.map_structure(lambda x: permuted(x, order, inverse, axis=0), (carry, consts))
    groups = Groups(row_count(carry[0]), count)
    stacks = [run_rows(*rows) for rows in groups.split_all(steps, carry, consts)]
    joined = [groups.join(pieces, axis=1) for pieces in zip(*stacks, strict=True)]
    return joined if active is None else [permuted(stack, inverse, order, axis=1) for stack in joined]


def row_count(x):
    return tf.shape(x)[0] if x.shape[0] is None else x.shape[0]


class Groups:
    """Groups of equally many rows, so that all share one program.

    Where the rows do not divide, the last groups begin early and compute some rows again; `join` drops these.
    """

    def __init__(self, rows, count: int):
        size = -(-rows // count)
        least = min if isinstance(rows, int) else tf.minimum
        self.size = size
        self.begins = [least(i * size, rows - size) for i in range(count)]
        self.repeated = [least(i * size - begin, size) for i, begin in enumerate(self.begins)]

    def split_all(self, steps, carry, consts):
        """The steps, carry and consts of each group."""
        pieces = [self.split(x, axis=1) for x in tf.nest.flatten(steps)]
        pieces += [self.split(x, axis=0) for x in tf.nest.flatten((carry, consts))]
        return [tf.nest.pack_sequence_as((steps, carry, consts), list(flat)) for flat in zip(*pieces, strict=True)]

    def split(self, x, axis: int):
        """The rows of each group. TensorFlow would make the gradient of each slice in full size; this one joins."""

        @tf.custom_gradient
        def run(x):
            pieces = [rows_of(x, begin, begin + self.size, axis) for begin in self.begins]
            return pieces, lambda *d: self.join(d, axis)  # rows computed again have no gradient

        return run(x)

    def join(self, pieces, axis: int):
        return tf.concat([rows_of(p, n, None, axis) for p, n in zip(pieces, self.repeated, strict=True)], axis)


def rows_of(x, begin, end, axis: int):
    if isinstance(begin, int) and begin == 0 and end is None:
        return x
    return x[:, begin:end] if axis else x[begin:end]


def by_length(active):
    """The rows, longest first."""
    times = tf.range(1, tf.shape(active)[0] + 1)[:, None]
    lengths = tf.reduce_max(tf.where(active, times, 0), axis=0)
    return tf.argsort(lengths, direction="DESCENDING", stable=True)


def permuted(x, order, inverse, axis: int):
    """The rows in another order. Written out, because the gradient that TensorFlow knows of a gather is a slow one."""

    @tf.custom_gradient
    def run(x):
        return tf.gather(x, order, axis=axis), lambda d: tf.gather(d, inverse, axis=axis)

    return run(x)

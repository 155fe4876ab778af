"""Which loop the hoisted kernel runs: a table over the backend, the device, the length, the batch and the cell.

The measurements below were taken on two cores of an AMD EPYC with AVX-512, with TensorFlow 2.21 and in float32. A
training step is the way forward and the gradients of all weights, with as many features as units.
"""

from __future__ import annotations

import math
import os
from typing import Any, NamedTuple

import keras

from keras_rnnkit.kernels.steps import has_written_gradient

SHORTEST_COMPILED = 8
"""Steps from which a compiled loop is the fastest. Fewer are unrolled in the graph, which compiles nothing.

Stock Keras / graph loop / unrolled graph / compiled loop, milliseconds of a training step of an LSTM:

    B=1  U=64   T=4  1.06 / 1.08 / 0.67 / 0.74    T=8  1.17 / 1.16 / 0.72 / 0.70    T=12  1.27 / 1.26 / 0.77 / 0.70
    B=32 U=64   T=4  1.05 / 1.11 / 0.93 / 1.12    T=8  1.47 / 1.71 / 1.44 / 1.52    T=12  2.04 / 2.51 / 2.12 / 2.04
    B=1  U=256  T=4  4.63 / 3.19 / 2.81 / 2.85    T=8  6.31 / 2.75 / 2.06 / 1.95    T=12  8.94 / 4.07 / 3.14 / 2.56
    B=32 U=256  T=4  6.64 / 5.28 / 5.64 / 4.74    T=8  18.9 / 13.3 / 17.0 / 11.4    T=12  27.2 / 19.2 / 24.6 / 15.6
"""

SMALLEST_DIVIDED = 200_000
"""Multiplications of a step's products, over all rows, from which two loops of half the rows are faster than one.

Stock Keras / one loop / two / four, T=40, milliseconds of a training step:

    LSTM U=64         B=4  3.15 / 1.39 / 1.43 / 1.62   B=12 5.38 / 3.16 / 2.48 / 2.77   B=64 10.8 / 8.99 / 6.02 / 8.47
    LSTM U=256        B=4  15.8 / 5.09 / 4.83 / 6.97   B=16 49.7 / 20.5 / 13.0 / 14.0   B=64 86.1 / 61.3 / 44.0 / 46.8
    GRU U=512         B=4  49.9 / 15.0 / 14.8 / 22.1   B=16 99.3 / 40.1 / 32.1 / 44.8   B=64 204 / 124 / 112 / 110
    VanillaRNN U=64   B=4  2.11 / 0.83 / 0.94 / 1.11   B=32 2.91 / 1.59 / 1.73 / 1.85   B=64 3.04 / 2.44 / 2.44 / 2.20
    VanillaRNN U=256  B=4  3.66 / 1.67 / 1.44 / 1.93   B=32 10.9 / 7.92 / 5.66 / 5.81   B=64 17.9 / 14.4 / 10.5 / 11.2
"""

SMALLEST_IN_FOUR = 4_000_000
"""The same for four loops of a masked batch, whose groups of rows end each at its own longest row.

Stock Keras / one loop / two / four / eight, T=100, rows of half the length on average, an LSTM:

    U=64   B=16  17.7 / 7.10 / 4.52 / 5.51 / 6.49    B=64  20.9 / 15.4 / 10.0 / 9.89 / 11.1
    U=256  B=8   43.4 / 17.5 / 13.4 / 15.1 / 16.5    B=16  103 / 37.7 / 23.4 / 21.8 / 26.4
    U=256  B=32  123 / 69.4 / 50.6 / 37.4 / 36.8     B=64  232 / 154 / 95.3 / 99.1 / 80.8
"""

FEW_ROWS_IN_JAX = 4
"""Rows up to which JAX is faster with products outside the loop for a cell without a written-out gradient.

Stock Keras / products outside, milliseconds of a training step on two busy cores:

    LayerNorm-LSTM  U=256 B=1  12.7 / 8.3    U=128 B=2  3.3 / 2.1    U=128 B=50  58 / 69
    peephole LSTM                            U=128 B=2  4.8 / 3.3    U=128 B=50  31 / 58
"""

LARGEST_INPUTS_IN_JAX = 4 * 2**20
"""Bytes of projected inputs above which JAX runs a sequence in blocks of steps.

Stock Keras / all steps at once / blocks of 1 MB, milliseconds of a training step on two busy cores:

    LSTM        B=64 T=100 U=256 (26 MB)   252 / 289 / 240     B=32 T=100 U=256 (13 MB)   174 / 192 / 113
                B=50 T=50  U=128 (5 MB)    29.2 / 27.6 / 25.1  B=20 T=20  U=200 (1.3 MB)  11.9 / 8.8 / 9.4
    GRU         B=64 T=100 U=256 (20 MB)   220 / 234 / 171     B=50 T=50  U=128 (3.8 MB)  23.1 / 19.2 / 20.8
    VanillaRNN  B=64 T=100 U=256 (6.5 MB)  53.9 / 62.0 / 47.4  B=50 T=50  U=128 (1.3 MB)  10.5 / 8.9 / 10.7
"""

BLOCK_INPUTS_IN_JAX = 2**20
"""Bytes of projected inputs in a block: such an array stays in the cache."""

USUAL_BATCH = 32
"""The size assumed for a batch of unknown size: the default of `model.fit`."""

EXACT_LENGTHS = 4
"""Different known lengths that get a program of their own; more of them share programs of rounded lengths."""


class LoopChoice(NamedTuple):
    """How the loops of one call run.

    compiled: by XLA, instead of as a graph of TensorFlow's operations.
    xs: what the loop reads. in_float32: half precision is computed in float32 inside the loop.
    capacity: the steps that a program is for, where that is not the length of xs. steps: how many to return.
    """

    compiled: bool
    xs: Any
    in_float32: bool
    capacity: Any = None
    steps: Any = None


def describe(cell, call) -> str:
    """For tables such as `rk.explain`: the loop of a training step in a call with these `CallFlags`."""
    if keras.backend.backend() == "jax":
        return describe_jax(cell, call)
    reason = why_not_compiled(call.length)
    if reason:
        return f"trains in a graph loop: {reason}"
    count = row_groups(cell, call) if cell.built else 1
    if count == 1:
        return "trains in a compiled loop"
    size = "a batch of unknown size" if call.batch is None else f"{call.batch} rows"
    ends = ", each of which ends at its longest row" if call.masked else ""
    return f"trains in {count} compiled loops side by side, with the rows of {size} divided among them{ends}"


def best_as_in_stock(cell, sequences, reset) -> bool:
    """Whether training on JAX is fastest as in stock Keras: each step calls the cell, and JAX differentiates the loop.

    Without a written-out gradient, inputs that were projected for all steps are saved for each step, and cost more than
    their product gains.
    """
    if keras.backend.backend() != "jax" or cell.adds_noise or cell.needs_all_steps:
        return False
    written = has_written_gradient(cell) and cell.emits_state and reset is None
    return not written and sequences.shape[0] > FEW_ROWS_IN_JAX


def describe_jax(cell, call) -> str:
    written = has_written_gradient(cell) and cell.emits_state and not call.resets
    if written or (call.batch is not None and call.batch <= FEW_ROWS_IN_JAX):
        return "trains in a compiled loop"
    return "trains in a compiled loop as stock Keras does, for want of a written-out gradient"


def why_not_compiled(length: int | None) -> str | None:
    import tensorflow as tf

    if not tf.test.is_built_with_xla():
        return "this TensorFlow has no XLA"
    if tf.config.list_logical_devices("GPU"):
        return "on a GPU, where a step's operations are started ahead of it"
    if length is not None and length < SHORTEST_COMPILED:
        return f"compiling pays from {SHORTEST_COMPILED} steps on"
    return None


def choose(inputs, differentiable: bool) -> LoopChoice:
    """The loop on TensorFlow for these `LoopInputs`."""
    import tensorflow as tf

    in_float32 = not tf.config.list_logical_devices("GPU")
    if not differentiable or why_not_compiled(inputs.length):
        return LoopChoice(False, inputs.first(), in_float32)
    xs = inputs.first(None if inputs.mask is None else longest(inputs.active))
    first = tf.nest.flatten(xs["z"])[0]
    if has_program(inputs.length, first.shape[2:]):
        capacity = None if inputs.mask is None else inputs.length
        return LoopChoice(True, xs, in_float32, capacity, inputs.length)
    steps = tf.shape(first if inputs.mask is None else inputs.mask)[0]
    return LoopChoice(True, xs, in_float32, rounded_up(steps), steps)


def row_groups(cell, call) -> int:
    """The number of loops among which the rows of a training step are divided. call: `CallFlags` or `LoopInputs`."""
    if why_not_compiled(call.length) or cell.needs_all_steps or cell.adds_noise:  # these look at the batch as one
        return 1
    work = (USUAL_BATCH if call.batch is None else call.batch) * products_of_step(cell)
    if work < SMALLEST_DIVIDED or (call.batch is not None and call.batch < 2):
        return 1
    if call.masked:
        return 4 if work >= SMALLEST_IN_FOUR else 2
    return 2 if cores() > 1 else 1


def products_of_step(cell) -> int:
    """Multiplications of a step for one row: the numbers in the matrices that a loop reads."""
    before = {id(getattr(cell, name, None)) for name in getattr(cell, "read_before_the_loop", ())}
    return sum(math.prod(w.shape) for w in cell.weights if len(w.shape) == 2 and id(w) not in before)


def cores() -> int:
    """Operations that TensorFlow runs side by side."""
    import tensorflow as tf

    return tf.config.threading.get_inter_op_parallelism_threads() or os.cpu_count() or 1


def longest(active):
    """The steps up to the last active one of any row, one at least: what is behind them changes nothing."""
    import tensorflow as tf

    times = tf.range(1, tf.shape(active)[0] + 1)
    return tf.maximum(tf.reduce_max(tf.where(tf.reduce_any(active, axis=1), times, 0)), 1)


_lengths: dict[tuple, set[int]] = {}


def has_program(length: int | None, widths) -> bool:
    """Whether this length gets a program of its own. A few known ones do; changing ones must not compile each time."""
    if length is None:
        return False
    lengths = _lengths.setdefault(tuple(widths), set())
    if len(lengths) < EXACT_LENGTHS:
        lengths.add(length)
    return length in lengths


def rounded_up(length):
    """The next power of two, from 16 on: all lengths share a dozen programs."""
    import tensorflow as tf

    sizes = tf.constant([2**n for n in range(4, 31)])
    return sizes[tf.searchsorted(sizes, [length])[0]]

"""Training of a decoder whose steps wait for the step before: with input feeding, or with tokens of its own."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from keras_rnnkit.cells.base import Cell
from keras_rnnkit.decoding import Sampling
from keras_rnnkit.keras_internals import DropoutRNNCell
from keras_rnnkit.ops import keras as kops


def fed_outputs(decoder, x, states, memory, training):
    """a [B, T, U] with input feeding, from [E y; v] [B, T, D]: the last state of each step is its a_t."""
    width = x.shape[-1]
    with training_noise(decoder, x, states, training) as noise:

        def step(states, columns):
            drawn = noise.of_step(columns[:, width:])
            _, states, _ = decoder.advance(columns[:, :width], list(states), memory, training, drawn)
            return states, states

        _, stacked = ops.scan(step, list(states), noise.beside(time_major(x)))
    return ops.transpose(stacked[-1], (1, 0, 2))


def sampled_logits(decoder, tokens, states, memory):
    """Logits [B, T, V] in training, where each step reads the token before it or one drawn from the model's logits."""
    steps, batch = ops.shape(tokens)[1], ops.shape(tokens)[0]
    x = decoder.embed(tokens, memory, training=True)
    width = x.shape[-1]
    chances = keras.random.uniform((steps, batch, 2), seed=decoder.sampling_seeds)  # whether to draw, and which token
    is_first = ops.cast(ops.arange(steps) == 0, "float32")[:, None, None] + ops.zeros_like(chances[..., :1])
    # One array for all that a step reads: with a free number of steps Keras' scan on TensorFlow takes no more.
    columns = ops.concatenate([ops.cast(time_major(x), "float32"), chances, is_first], axis=-1)
    no_logits = ops.zeros((batch, decoder.vocabulary_size), dtype="float32")
    with training_noise(decoder, x, states, training=True) as noise:

        def step(carry, columns):
            *states, logits = carry
            coin, chance, is_first = (columns[:, width + i] for i in range(3))
            own = decoder.embed(Sampling().pick(kops, logits, chance)[:, None], memory)[:, 0]
            reads_own = ops.logical_and(coin < ops.cast(decoder.sampling, coin.dtype), is_first < 0.5)
            x_t = ops.where(reads_own[:, None], own, ops.cast(columns[:, :width], x.dtype))
            a, states, _ = decoder.advance(x_t, states, memory, True, noise.of_step(columns[:, width + 3 :]))
            dropped = decoder.output_dropout(a, training=True)
            return [*states, decoder.score(a)], [*states, decoder.score(dropped)]

        _, stacked = ops.scan(step, [*states, no_logits], noise.beside(columns))
    return ops.transpose(stacked[-1], (1, 0, 2))


class Noise:
    """The noise that the cells of a decoder read in training, drawn for all steps before the loop."""

    def __init__(self, by_cell: list[list[Any]], dtype):
        self.by_cell = by_cell
        self.dtype = dtype

    def beside(self, columns):
        """One array of what each step reads: its columns [T, B, D] and then its noise."""
        noise = [ops.cast(array, columns.dtype) for arrays in self.by_cell for array in arrays]
        return ops.concatenate([columns, *noise], axis=-1) if noise else columns

    def of_step(self, columns):
        """For each cell its noise, from the noise columns [B, N] of one step."""
        sizes = [array.shape[-1] for arrays in self.by_cell for array in arrays]
        pieces = iter(
            ops.cast(columns[:, end - size : end], self.dtype)
            for size, end in zip(sizes, itertools.accumulate(sizes), strict=True)
        )
        return [[next(pieces) for _ in arrays] for arrays in self.by_cell]


@contextlib.contextmanager
def training_noise(decoder, x, states, training) -> Iterator[Noise]:
    """The cells' noise for the steps of x [B, T, D]; inside, the cells hold the dropout masks of this sequence.

    Keras' RNN prepares dropout masks in the same way: a mask drawn inside the loop would differ from step to step,
    and JAX could not draw it there.
    """
    if not training:
        yield Noise([], x.dtype)
        return
    cells = [layer.cell for layer in decoder.layers]
    batch, steps = ops.shape(x)[0], ops.shape(x)[1]
    by_cell = [cell.draw_noise((steps, batch), x.dtype) if isinstance(cell, Cell) else [] for cell in cells]
    widths = decoder.input_widths(x.shape[-1])
    try:
        for cell, width, first_state in zip(cells, widths, first_states(decoder, states), strict=True):
            if isinstance(cell, DropoutRNNCell):
                cell.get_dropout_mask(ops.zeros((batch, width), dtype=x.dtype))
                cell.get_recurrent_dropout_mask(first_state)
        yield Noise(by_cell, x.dtype)
    finally:
        for cell in cells:
            if isinstance(cell, DropoutRNNCell):
                cell.reset_dropout_mask()
                cell.reset_recurrent_dropout_mask()


def first_states(decoder, states):
    """The first state of each cell, from the states of all cells."""
    counts = [len(sizes) for sizes in decoder.sizes]
    return [states[end - count] for count, end in zip(counts, itertools.accumulate(counts), strict=True)]


def time_major(x):
    return ops.transpose(x, (1, 0, 2))


def check_cells(layers) -> None:
    """Whether all cells can be trained step by step."""
    for layer in layers:
        if getattr(layer.cell, "needs_all_steps", False):
            raise ValueError(
                "With input feeding or scheduled sampling a decoder is trained step by step, and batch normalisation "
                f"takes its statistics from all steps at once. Received: layer {layer.name!r} with a "
                f"{type(layer.cell).__name__}. Use rk.cells.LayerNormLSTMCell, or leave both options out."
            )

"""The plain kernel: the cell, one step after the other, in the backend's own loop. It runs everything."""

from __future__ import annotations

import keras
from keras import tree

from keras_rnnkit import keras_internals
from keras_rnnkit.kernels.call_flags import CallFlags
from keras_rnnkit.kernels.recurrence import per_row


def refusal(layer, call: CallFlags) -> str | None:
    """Why this kernel cannot run the layer: there is no such layer."""
    return None


def remark(layer, call: CallFlags) -> str:
    """A sentence on how this kernel runs the layer, for tables such as `rk.explain`; may be empty."""
    return ""


def run(layer, sequences, initial_state, mask, reset, training):
    """(last output, outputs, last states), as Keras' `inner_loop` returns them."""
    cell, states = layer.cell, tree.flatten(initial_state)
    carry, start = list(states), tree.flatten(layer.start_states(initial_state))
    keywords = {"training": training} if keras_internals.call_has_training_arg(cell) else {}
    flags = {name: flag[..., None] for name, flag in {"mask": mask, "reset": reset}.items() if flag is not None}
    noise = StepNoise(cell, sequences, training)
    if mask is not None:
        y, _ = cell(sequences[:, 0], initial_state, **keywords)  # for its shape: before a row's first valid step
        carry.append(keras.ops.zeros_like(y))

    def step(inputs, carry):
        x, *rest = inputs
        now = {name: flag[:, 0] for name, flag in zip(flags, rest, strict=False)}
        noise.use(rest[len(flags) :])
        state = list(carry[: len(states)])
        if "reset" in now:
            state = [keras.ops.where(per_row(now["reset"], s), s0, s) for s, s0 in zip(state, start, strict=True)]
        y, new = cell(x, tree.pack_sequence_as(initial_state, state), **keywords)
        new = tree.flatten(new)
        if "mask" in now:
            y = keras.ops.where(per_row(now["mask"], y), y, carry[-1])
            new = [keras.ops.where(per_row(now["mask"], n), n, s) for n, s in zip(new, state, strict=True)] + [y]
        return y, new

    last, outputs, carry = keras_internals.rnn_loop(
        step,
        (sequences, *flags.values(), *noise.arrays),
        carry,
        go_backwards=layer.go_backwards,
        unroll=layer.unroll,
        input_length=sequences.shape[1],
        return_all_outputs=layer.return_sequences,
    )
    if mask is not None and layer.zero_output_for_mask:
        last, outputs = hide(layer, mask, last, outputs)
    return last, outputs, tree.pack_sequence_as(initial_state, list(carry[: len(states)]))


class StepNoise:
    """The noise of the cells in training, drawn for all steps before the loop: a cell alone has one draw for them all.

    Keras' RNN forgets what the cells hold when it has called `inner_loop`.
    """

    def __init__(self, cell, sequences, training):
        cells = cell.cells if isinstance(cell, keras.layers.StackedRNNCells) else [cell]
        self.cells = [each for each in cells if training and getattr(each, "adds_noise", False)]
        shape = keras.ops.shape(sequences)[:2]
        noise = [each.draw_noise(shape, each.compute_dtype) for each in self.cells]
        self.counts = [len(arrays) for arrays in noise]
        self.arrays = [array for arrays in noise for array in arrays]
        """[B, T, size] each, which the loop reads beside the inputs."""

    def use(self, arrays) -> None:
        """Give each cell the noise of one step, from what the loop read there."""
        rest = iter(arrays)
        for cell, count in zip(self.cells, self.counts, strict=True):
            cell.use_noise([next(rest) for _ in range(count)])


def hide(layer, mask, last, outputs):
    """Zeros where a step was masked."""
    mask = keras.ops.flip(mask, axis=1) if layer.go_backwards else mask
    last = keras.ops.where(per_row(mask[:, -1], last), last, keras.ops.zeros_like(last))
    if layer.return_sequences:
        outputs = keras.ops.where(per_row(mask, outputs), outputs, keras.ops.zeros_like(outputs))
    return last, outputs

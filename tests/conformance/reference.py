"""The plain loop in NumPy: a cell's equation read by `ops.numpy`, a step and a row's rule at a time."""

from __future__ import annotations

import keras
import numpy as np

from keras_rnnkit.ops import numpy as nops


def run(layer, x, state, mask=None, reset=None, start=None):
    """[outputs [B, T, P], *last states] of a layer, one step after the other.

    x: [B, T, D]; state: first states [B, size]; mask, reset: [B, T] or None; start: what a reset goes back to.
    """
    cell = layer.equation
    w = cell.weights_as(keras.ops.convert_to_numpy)
    order = range(x.shape[1])[::-1] if layer.go_backwards else range(x.shape[1])
    y = np.zeros((x.shape[0], cell.output_size), x.dtype)
    outputs = []
    for t in order:
        if reset is not None:
            state = [np.where(reset[:, t, None], s0, s) for s, s0 in zip(state, start, strict=True)]
        z = cell.inputs(nops, w, x[:, t], state)
        new_y, new = cell.gates(nops, w, z, cell.recur(nops, w, state[0]), list(state))
        keep = np.ones((x.shape[0], 1), bool) if mask is None else mask[:, t, None]
        y = np.where(keep, new_y, y)
        state = [np.where(keep, n, s) for n, s in zip(new, state, strict=True)]
        outputs.append(np.where(keep, y, 0) if layer.zero_output_for_mask else y)
    return [np.stack(outputs, axis=1) if outputs else np.zeros((x.shape[0], 0, cell.output_size)), *state]

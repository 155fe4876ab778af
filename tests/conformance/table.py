"""Every cell there is, with the arguments worth telling apart, and what its weights and states are filled with."""

from __future__ import annotations

import keras
import numpy as np

import keras_rnnkit as rk

cells = rk.cells
D, U = 3, 4
"""Features and units of the table's cells; different, so that a transposed weight does not fit."""


class TwiceCell(cells.Cell):
    """h_t = tanh(W x_t + a * h_{t-1});  y_t = 2 h_t: a user's cell whose output is not its state."""

    emits_state = False

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")
        self.rate = self.add_weight(shape=(self.units,), name="rate")

    def project(self, ops, w, x):
        return ops.matmul(x, w.kernel)

    def recur(self, ops, w, h):
        return h

    def gates(self, ops, w, z, r, state):
        h = ops.tanh(z + w.rate * r)
        return 2.0 * h, [h]


TABLE = {
    "vanilla": lambda **k: cells.VanillaCell(U, **k),
    "vanilla-relu-identity": lambda **k: cells.VanillaCell(
        U, activation="relu", recurrent_initializer="identity", use_bias=False, **k
    ),
    "lstm": lambda **k: cells.LSTMCell(U, **k),
    "lstm-no-bias": lambda **k: cells.LSTMCell(U, use_bias=False, recurrent_activation="hard_sigmoid", **k),
    "lstm-projection": lambda **k: cells.LSTMCell(U, projection=2, **k),
    "gru": lambda **k: cells.GRUCell(U, **k),
    "gru-no-bias": lambda **k: cells.GRUCell(U, use_bias=False, **k),
    "gru-reset-before": lambda **k: cells.GRUCell(U, reset_after=False, **k),
    "coupled-lstm": lambda **k: cells.CoupledLSTMCell(U, **k),
    "peephole-lstm": lambda **k: cells.PeepholeLSTMCell(U, **k),
    "layernorm-lstm": lambda **k: cells.LayerNormLSTMCell(U, **k),
    "indrnn": lambda **k: cells.IndRNNCell(U, **k),
    "min-gru": lambda **k: cells.MinGRUCell(U, **k),
    "min-lstm": lambda **k: cells.MinLSTMCell(U, activation="tanh", **k),
    "qrnn-f": lambda **k: cells.QRNNCell(U, pooling="f", **k),
    "qrnn-ifo": lambda **k: cells.QRNNCell(U, pooling="ifo", **k),
    "sru": lambda **k: cells.SRUCell(U, **k),
    "sru-linear": lambda **k: cells.SRUCell(U, state_gates=False, use_bias=False, **k),
    "lru": lambda **k: cells.LRUCell(U, state_units=2, **k),
    "rg-lru": lambda **k: cells.RGLRUCell(D, **k),
    "mlstm": lambda **k: cells.MLSTMCell(U, heads=2, **k),
    "mlstm-exponential": lambda **k: cells.MLSTMCell(U, heads=1, forget_gate="exponential", output_gate=False, **k),
    "convolution": lambda **k: cells.ConvolutionCell(D, kernel_size=3, **k),
    "slstm": lambda **k: cells.SLSTMCell(U, heads=2, **k),
    "zoneout-lstm": lambda **k: cells.ZoneoutCell(cells.LSTMCell(U, **k), rate=[0.1, 0.3], **k),
    "batchnorm-gru": lambda **k: cells.BatchNormCell(cells.GRUCell(U, **k), **k),
    "conditioned-vanilla": lambda **k: cells.ConditionedCell(cells.VanillaCell(U, **k), 2, **k),
    "zoneout-conditioned-layernorm": lambda **k: cells.ZoneoutCell(
        cells.ConditionedCell(cells.LayerNormLSTMCell(U, **k), 2, **k), rate=[0.2, 0.1], **k
    ),
    "user": lambda **k: TwiceCell(U, **k),
}

MASKS = {
    "none": None,
    "right-padded": [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]],
    "left-padded": [[1, 1, 1, 1, 1], [0, 0, 1, 1, 1], [0, 0, 0, 0, 1]],
    "interior": [[1, 0, 1, 0, 0], [0, 1, 0, 1, 1], [1, 1, 0, 1, 1]],
    "fully-masked-row": [[0, 0, 0, 0, 0], [0, 1, 1, 0, 1], [1, 1, 1, 1, 1]],
}
RESETS = [[0, 0, 1, 0, 0], [1, 0, 0, 1, 1], [0, 0, 0, 0, 0]]
B, T = 3, 5
ALL_MASKS = np.array([row for rows in MASKS.values() if rows for row in rows], bool)
"""The rows of all masks as those of one batch, so that a layer is called once."""


def flags(rows):
    return None if rows is None else np.array(rows, bool)


def fill(layer, rng) -> None:
    """Random weights, all different, variances positive."""
    for variable in layer.weights:
        values = rng.normal(size=variable.shape) * 0.7
        variable.assign(np.abs(values) + 0.5 if "variance" in variable.name else values)


def sequences(rng, dtype, batch=B, time=T):
    return rng.normal(size=(batch, time, D)).astype(dtype)


def under_all_masks(*arrays):
    """The same rows once for each mask of `ALL_MASKS`."""
    return [np.concatenate([array] * (len(ALL_MASKS) // B)) for array in arrays]


def starts(cell, rng, dtype, batch=B):
    return [rng.normal(size=(batch, size)).astype(dtype) for size in cell.state_sizes]


def built(name, rng, dtype="float32", **layer_arguments):
    """A layer that returns all there is to compare, on random weights."""
    cell = TABLE[name](dtype=dtype)
    layer = rk.Recurrent(cell, return_sequences=True, return_state=True, dtype=dtype, **layer_arguments)
    layer.build((None, None, D))
    fill(layer, rng)
    return layer


def arrays(outputs):
    return [keras.ops.convert_to_numpy(output) for output in outputs]

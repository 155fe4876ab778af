"""The networks that are compared, all with about as many weights as two layers of an LSTM."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

import keras_rnnkit as rk

cells, blocks = rk.cells, rk.blocks


def layers_of(cell: Callable[[int], Any]) -> Callable[[int], list[Any]]:
    return lambda units: [rk.Recurrent(cell(units), return_sequences=True) for _ in range(2)]


CONTENDERS: dict[str, Callable[[int], list[Any]]] = {
    "LSTM": lambda units: [rk.LSTM(units, return_sequences=True) for _ in range(2)],
    "GRU": lambda units: [rk.GRU(units, return_sequences=True) for _ in range(2)],
    "minGRU": layers_of(cells.MinGRUCell),
    "minLSTM": layers_of(cells.MinLSTMCell),
    "QRNN": layers_of(lambda units: cells.QRNNCell(units, pooling="ifo")),
    "SRU": layers_of(cells.SRUCell),
    "LRU": layers_of(lambda units: cells.LRUCell(units, min_radius=0.9, max_radius=0.999)),
    "RG-LRU": layers_of(cells.RGLRUCell),
    "IndRNN": layers_of(cells.IndRNNCell),
    "sLSTM": layers_of(cells.SLSTMCell),
    "mLSTM": layers_of(cells.MLSTMCell),
    "MinRNN block": lambda units: [blocks.MinRNN(expansion=2) for _ in range(2)],
    "Griffin block": lambda units: [blocks.Griffin(expansion=2) for _ in range(2)],
    "XLSTM block": lambda units: [blocks.XLSTM() for _ in range(2)],
}
BASE, STEP = "LSTM", 4
"""Whose weights the others are given, and by what their widths differ: heads must divide them."""


def network(name: str, head: Callable[[int], tuple[list[Any], list[Any]]], units: int) -> keras.Model:
    """The contender between the first and the last layers that a task has for a width."""
    first, last = head(units)
    return keras.Sequential([*first, *CONTENDERS[name](units), *last])


def width_of(name: str, head, base_units: int) -> int:
    """The width with which a contender has as many weights as the LSTM with `base_units`, or nearly."""
    wanted = network(BASE, head, base_units).count_params()
    if name == BASE:
        return base_units

    def excess(units: int) -> int:
        return network(name, head, units).count_params() - wanted

    low, high = 1, 8 * base_units // STEP
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if excess(middle * STEP) <= 0 else (low, middle)
    return min(low * STEP, high * STEP, key=lambda units: abs(excess(units)))

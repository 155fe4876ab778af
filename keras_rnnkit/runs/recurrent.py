"""The recurrent layer that a pipeline's `--cell` names."""

from __future__ import annotations

from typing import Any

import keras_rnnkit as rk

FACADES = {"lstm": "LSTM", "gru": "GRU", "vanilla": "VanillaRNN"}
OTHERS = {
    "layernorm_lstm": "LayerNormLSTMCell",
    "peephole_lstm": "PeepholeLSTMCell",
    "coupled_lstm": "CoupledLSTMCell",
    "slstm": "SLSTMCell",
    "mlstm": "MLSTMCell",
    "min_gru": "MinGRUCell",
    "min_lstm": "MinLSTMCell",
    "qrnn": "QRNNCell",
    "sru": "SRUCell",
    "ind_rnn": "IndRNNCell",
    "lru": "LRUCell",
    "rg_lru": "RGLRUCell",
}
WITH_FORGET_BIAS = ("lstm", "layernorm_lstm", "peephole_lstm", "coupled_lstm")
CELLS = (*FACADES, *OTHERS)


def layer_of(cell: str, units: int, forget_bias: bool = True, zoneout: float = 0.0, **arguments: Any):
    """A recurrent layer that returns the whole sequence.

    Arguments:
        cell: one of `CELLS`.
        units: units of the layer.
        forget_bias: whether the bias of an LSTM's forget gate starts at 1.
        zoneout: how often a unit keeps its state in training.
        arguments: further arguments of the layer.
    """
    bias = {"unit_forget_bias": forget_bias} if cell in WITH_FORGET_BIAS else {}
    if cell in FACADES and not zoneout:
        return getattr(rk, FACADES[cell])(units, return_sequences=True, **bias, **arguments)
    drop = {"recurrent_dropout": arguments.pop("recurrent_dropout", 0.0), "seed": arguments.pop("seed", None)}
    names = {"lstm": "LSTMCell", "gru": "GRUCell", "vanilla": "VanillaCell", **OTHERS}
    inner = getattr(rk.cells, names[cell])(units, **bias, **drop)
    inner = rk.cells.ZoneoutCell(inner, rate=zoneout, noise_seed=drop["seed"]) if zoneout else inner
    return rk.Recurrent(inner, return_sequences=True, **arguments)

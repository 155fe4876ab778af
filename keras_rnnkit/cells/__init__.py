"""The cells: one equation a file, each usable in `keras_rnnkit.Recurrent` and in `keras.layers.RNN`."""

from keras_rnnkit.cells.adopt import adopt
from keras_rnnkit.cells.base import Cell, GatedCell
from keras_rnnkit.cells.batchnorm import BatchNormCell
from keras_rnnkit.cells.conditioned import ConditionedCell
from keras_rnnkit.cells.coupled_lstm import CoupledLSTMCell
from keras_rnnkit.cells.gru import GRUCell
from keras_rnnkit.cells.layernorm_lstm import LayerNormLSTMCell
from keras_rnnkit.cells.lstm import LSTMCell
from keras_rnnkit.cells.peephole_lstm import PeepholeLSTMCell
from keras_rnnkit.cells.vanilla import VanillaCell
from keras_rnnkit.cells.wrapper import WrapperCell
from keras_rnnkit.cells.zoneout import ZoneoutCell

__all__ = [
    "BatchNormCell",
    "Cell",
    "ConditionedCell",
    "CoupledLSTMCell",
    "GRUCell",
    "GatedCell",
    "LSTMCell",
    "LayerNormLSTMCell",
    "PeepholeLSTMCell",
    "VanillaCell",
    "WrapperCell",
    "ZoneoutCell",
    "adopt",
]

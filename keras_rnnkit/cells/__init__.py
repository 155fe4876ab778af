"""The cells: one equation a file, each usable in `keras_rnnkit.Recurrent` and in `keras.layers.RNN`."""

from keras_rnnkit.cells.adopt import adopt
from keras_rnnkit.cells.base import Cell, GatedCell
from keras_rnnkit.cells.batchnorm import BatchNormCell
from keras_rnnkit.cells.conditioned import ConditionedCell
from keras_rnnkit.cells.convolution import ConvolutionCell
from keras_rnnkit.cells.coupled_lstm import CoupledLSTMCell
from keras_rnnkit.cells.gru import GRUCell
from keras_rnnkit.cells.ind_rnn import IndRNNCell, MagnitudeLimit
from keras_rnnkit.cells.input_weights import InputWeightsCell
from keras_rnnkit.cells.layernorm_lstm import LayerNormLSTMCell
from keras_rnnkit.cells.linear import LinearCell
from keras_rnnkit.cells.lru import LRUCell
from keras_rnnkit.cells.lstm import LSTMCell
from keras_rnnkit.cells.min_gru import MinGRUCell
from keras_rnnkit.cells.min_lstm import MinLSTMCell
from keras_rnnkit.cells.mlstm import MLSTMCell
from keras_rnnkit.cells.peephole_lstm import PeepholeLSTMCell
from keras_rnnkit.cells.qrnn import QRNNCell
from keras_rnnkit.cells.rglru import RGLRUCell
from keras_rnnkit.cells.slstm import SLSTMCell
from keras_rnnkit.cells.sru import SRUCell
from keras_rnnkit.cells.vanilla import VanillaCell
from keras_rnnkit.cells.wrapper import WrapperCell
from keras_rnnkit.cells.zoneout import ZoneoutCell

__all__ = [
    "BatchNormCell",
    "Cell",
    "ConditionedCell",
    "ConvolutionCell",
    "CoupledLSTMCell",
    "GRUCell",
    "GatedCell",
    "IndRNNCell",
    "InputWeightsCell",
    "LRUCell",
    "LSTMCell",
    "LayerNormLSTMCell",
    "LinearCell",
    "MLSTMCell",
    "MagnitudeLimit",
    "MinGRUCell",
    "MinLSTMCell",
    "PeepholeLSTMCell",
    "QRNNCell",
    "RGLRUCell",
    "SLSTMCell",
    "SRUCell",
    "VanillaCell",
    "WrapperCell",
    "ZoneoutCell",
    "adopt",
]

"""Residual blocks around a recurrence, as the papers of the newer cells have them: layers to stack."""

from keras_rnnkit.blocks.griffin import Griffin
from keras_rnnkit.blocks.min_rnn import MinRNN
from keras_rnnkit.blocks.xlstm import XLSTM

__all__ = ["XLSTM", "Griffin", "MinRNN"]

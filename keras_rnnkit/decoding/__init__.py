"""From a model's scores to tokens: one set of strategies for Keras, NumPy and the inside of an ONNX graph."""

from keras_rnnkit.decoding.aligned import Aligned, align
from keras_rnnkit.decoding.beam import Beam
from keras_rnnkit.decoding.loop import Generated, generate, noise, stream
from keras_rnnkit.decoding.sampling import Greedy, Sampling
from keras_rnnkit.decoding.strategy import Picked, Strategy

__all__ = [
    "Aligned",
    "Beam",
    "Generated",
    "Greedy",
    "Picked",
    "Sampling",
    "Strategy",
    "align",
    "generate",
    "noise",
    "stream",
]

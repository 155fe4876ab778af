"""From a model's scores to tokens: one set of strategies for Keras, NumPy and the inside of an ONNX graph."""

from keras_rnnkit.decoding.aligned import Aligned, align
from keras_rnnkit.decoding.beam import Beam
from keras_rnnkit.decoding.errors import DecodingError
from keras_rnnkit.decoding.loop import Generated, generate, noise, stream
from keras_rnnkit.decoding.prompts import pad_prompts, read_prompts
from keras_rnnkit.decoding.sampling import Greedy, Sampling
from keras_rnnkit.decoding.strategy import Picked, Strategy

__all__ = [
    "Aligned",
    "Beam",
    "DecodingError",
    "Generated",
    "Greedy",
    "Picked",
    "Sampling",
    "Strategy",
    "align",
    "generate",
    "noise",
    "pad_prompts",
    "read_prompts",
    "stream",
]

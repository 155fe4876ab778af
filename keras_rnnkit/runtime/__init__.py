"""Running what was exported, with NumPy and onnxruntime alone."""

from keras_rnnkit.runtime.bundle import Bundle, load
from keras_rnnkit.runtime.errors import BundleError, InputError
from keras_rnnkit.runtime.graph import Graph
from keras_rnnkit.runtime.stream import Stream
from keras_rnnkit.runtime.translation import Translation

__all__ = ["Bundle", "BundleError", "Graph", "InputError", "Stream", "Translation", "load"]

"""Text to numbers and back, with the standard library and NumPy alone."""

from keras_rnnkit.text.files import TextError
from keras_rnnkit.text.units import Characters, Subwords, Words
from keras_rnnkit.text.vocabulary import Vocabulary

__all__ = ["Characters", "Subwords", "TextError", "Vocabulary", "Words"]

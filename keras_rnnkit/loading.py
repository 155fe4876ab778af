"""Model files that hold our layers. Importing this module makes all our classes known to Keras."""

from __future__ import annotations

import os
from typing import Any

import keras

from keras_rnnkit import cells
from keras_rnnkit.layers import bidirectional, facades, recurrent, residual, stack
from keras_rnnkit.seq2seq import model as seq2seq

REGISTERING = (bidirectional, cells, facades, recurrent, residual, seq2seq, stack)


def load_model(path: str | os.PathLike, **kwargs: Any) -> keras.Model:
    """`keras.models.load_model`, with our layers and cells known to it.

    `keras.models.load_model` itself does as well once keras_rnnkit has been imported after keras.

    >>> import keras_rnnkit as rk
    >>> rk.load_model("nowhere.keras")
    Traceback (most recent call last):
    ...
    FileNotFoundError: There is no model file 'nowhere.keras'. Save one with model.save('name.keras').
    """
    if not os.path.exists(path):
        raise FileNotFoundError(f"There is no model file {str(path)!r}. Save one with model.save('name.keras').")
    return keras.models.load_model(path, **kwargs)

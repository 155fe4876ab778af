"""Model files that hold our layers. Importing this module makes all our classes known to Keras."""

from __future__ import annotations

import os
from typing import Any

import keras

from keras_rnnkit import cells
from keras_rnnkit.conversion import convert, counterparts
from keras_rnnkit.conversion.marking import is_marked
from keras_rnnkit.layers import bidirectional, configs, facades, recurrent, residual, stack
from keras_rnnkit.seq2seq import model as seq2seq

REGISTERING = (bidirectional, cells, counterparts, facades, recurrent, residual, seq2seq, stack)


def load_model(path: str | os.PathLike, **kwargs: Any) -> keras.Model:
    """`keras.models.load_model`, with our layers and cells known to it.

    `keras.models.load_model` itself reads the same files in any program that has imported keras_rnnkit.

    Arguments:
        path: a `.keras` file, or the folder of a model saved with zipped=False.
        custom_objects: classes and functions of your own by name, unless they are registered with
            `keras.saving.register_keras_serializable()`.
        compile: whether to compile the model as it was when it was saved; True if left out.
        safe_mode: whether to refuse files that hold Python lambdas; True if left out.

    Returns the model. The class of a subclassed model makes its layers itself, so a model that was converted by
    `rk.convert` before it was saved is converted again.

    >>> import keras_rnnkit as rk
    >>> rk.load_model("nowhere.keras")
    Traceback (most recent call last):
    ...
    FileNotFoundError: There is no model file 'nowhere.keras'. Save one with model.save('name.keras').
    """
    if not os.path.exists(path):
        raise FileNotFoundError(f"There is no model file {str(path)!r}. Save one with model.save('name.keras').")
    with configs.explained(f"The model file {str(path)!r}"):
        model = keras.models.load_model(path, **kwargs)
    return convert(model) if is_marked(path) else model

"""Model files that hold our layers. Importing this module makes all our classes known to Keras."""

from __future__ import annotations

import contextlib
import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import h5py
import keras

from keras_rnnkit import blocks, cells
from keras_rnnkit.conversion import convert, counterparts
from keras_rnnkit.conversion.marking import is_marked
from keras_rnnkit.layers import bidirectional, configs, facades, recurrent, residual, stack
from keras_rnnkit.seq2seq import model as seq2seq

REGISTERING = (bidirectional, blocks, cells, counterparts, facades, recurrent, residual, seq2seq, stack)


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
    `rk.convert` before it was saved is converted again. The optimizer has its state, and with mixed_float16 its loss
    scale, also where the global dtype policy is another one than when the model was saved; Keras' function starts it
    anew then, with a warning.

    >>> import keras_rnnkit as rk
    >>> rk.load_model("nowhere.keras")
    Traceback (most recent call last):
    ...
    FileNotFoundError: There is no model file 'nowhere.keras'. Save one with model.save('name.keras').
    """
    if not os.path.exists(path):
        raise FileNotFoundError(f"There is no model file {str(path)!r}. Save one with model.save('name.keras').")
    with configs.explained(f"The model file {str(path)!r}"), policy_of_compilation(path):
        model = keras.models.load_model(path, **kwargs)
    return convert(model) if is_marked(path) else model


@contextlib.contextmanager
def policy_of_compilation(path: str | os.PathLike) -> Iterator[None]:
    """Inside, the global dtype policy is one under which `compile` treats the optimizer as it did before the file.

    Under mixed_float16 `compile` wraps the optimizer in one that scales the loss, and Keras saves the state of that.
    It asks the global policy when it loads a model, although the policies of all layers are in the file.
    """
    policy = keras.config.dtype_policy()
    wrapped = optimizer_was_wrapped(path, policy.name)
    if wrapped is not None and wrapped != (policy.name == "mixed_float16"):
        keras.config.set_dtype_policy("mixed_float16" if wrapped else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)


def optimizer_was_wrapped(path: str | os.PathLike, policy: str) -> bool | None:
    """Whether `compile` wrapped the optimizer of a saved model; None where no policy could make a difference."""
    try:
        with opened(path, "config.json") as file:
            text = file.read().decode()
        optimizer = (json.loads(text).get("compile_config") or {}).get("optimizer")
        by_user = not isinstance(optimizer, dict) or optimizer.get("class_name") == "LossScaleOptimizer"
        if by_user or "mixed_float16" not in (policy, *text.split('"')):
            return None
        with opened(path, "model.weights.h5") as file, h5py.File(file) as weights:
            return "inner_optimizer" in weights["optimizer"]
    except (OSError, KeyError, ValueError):  # no model, or not one that was trained: Keras says what there is to say
        return None


@contextlib.contextmanager
def opened(path: str | os.PathLike, name: str) -> Iterator[IO[bytes]]:
    """A file of a model that was saved as a `.keras` file or as a folder."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive, archive.open(name) as file:
            yield file
    else:
        with Path(path, name).open("rb") as file:
            yield file

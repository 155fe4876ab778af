"""A record of what every layer of a model reads and writes while the model runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import tensorflow as tf
from keras import tree

from keras_rnnkit.export.reading.hooks.patches import PatchedMethod, patched


class Call(NamedTuple):
    """The tensors that a layer read and wrote at one of its calls."""

    path: str
    layer: Any
    read: list[Any]
    wrote: list[Any]


class OutputRecorder:
    """Keeps the calls of layers in the order in which they ended, and which failed, innermost first.

    paths: of the layers whose calls are kept, by id. inside_rows: keep calls inside a TimeDistributed as well, which
    may call its layer once for each step.
    """

    def __init__(self, paths: dict[int, str], inside_rows: bool = True):
        self.paths = paths
        self.inside_rows = inside_rows
        self._around = 0
        self.calls: list[Call] = []
        self.failed: list[tuple[str, Any]] = []

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        with patched(lambda: iter([PatchedMethod(keras.layers.Layer, "__call__", self.call)])):
            yield

    def call(self, original, layer, *args, **kwargs):
        path = self.paths.get(id(layer))
        if path is None or (self._around and not self.inside_rows):
            return original(layer, *args, **kwargs)
        rows = isinstance(layer, keras.layers.TimeDistributed)
        self._around += rows
        try:
            outputs = original(layer, *args, **kwargs)
        except Exception:
            self.failed.append((path, layer))
            raise
        finally:
            self._around -= rows
        self.calls.append(Call(path, layer, tensors((args, kwargs)), tensors(outputs)))
        return outputs


def tensors(values) -> list[Any]:
    return [value for value in tree.flatten(values) if hasattr(value, "shape") and tf.is_tensor(value)]

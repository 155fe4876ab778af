"""Watching every layer of a model while it runs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import tensorflow as tf
from keras import tree

from keras_rnnkit.export.reading.layer_hooks import put


class Call(NamedTuple):
    """The tensors that a layer read and wrote at one of its calls."""

    path: str
    layer: Any
    read: list[Any]
    wrote: list[Any]


class OutputRecorder:
    """Keeps the calls of layers in the order in which they ended, and which failed, innermost first.

    paths: the names of the layers listened to, by id.
    """

    def __init__(self, paths: dict[int, str]):
        self.paths = paths
        self.calls: list[Call] = []
        self.failed: list[tuple[str, Any]] = []

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        owner, original, recorder = threading.get_ident(), keras.layers.Layer.__call__, self

        def __call__(self, *args, **kwargs):
            path = recorder.paths.get(id(self)) if threading.get_ident() == owner else None
            if path is None:
                return original(self, *args, **kwargs)
            try:
                outputs = original(self, *args, **kwargs)
            except Exception:
                recorder.failed.append((path, self))
                raise
            recorder.calls.append(Call(path, self, tensors((args, kwargs)), tensors(outputs)))
            return outputs

        with contextlib.ExitStack() as undo:
            put(undo, keras.layers.Layer, "__call__", __call__)
            yield


def tensors(values) -> list[Any]:
    return [value for value in tree.flatten(values) if hasattr(value, "shape") and tf.is_tensor(value)]

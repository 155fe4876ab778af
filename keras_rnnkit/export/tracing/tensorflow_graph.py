"""A model as a pure function, traced by TensorFlow and written as an ONNX graph by tf2onnx."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf
import tf2onnx
from onnx import ModelProto, numpy_helper

from keras_rnnkit.export.errors import ExportError, first_lines
from keras_rnnkit.export.lowering.placeholders import DOMAIN
from keras_rnnkit.export.reading.patches import LOCK


class Traced:
    """A traced function, in the form in which tf2onnx asks for it."""

    def __init__(self, function: Callable, specs: list[tf.TensorSpec]):
        self.concrete = tf.function(function, input_signature=specs, autograph=False).get_concrete_function()

    def get_concrete_function(self, *_):
        return self.concrete

    def settle_captures(self, model: ModelProto) -> None:
        """Tensors that a layer keeps as constants are captured by the trace; tf2onnx takes them for inputs."""
        captured = {inside.name: outside for outside, inside in self.concrete.graph.captures if not is_variable(inside)}
        for value in [value for value in model.graph.input if value.name in captured]:
            array = np.asarray(captured[value.name])
            model.graph.initializer.append(numpy_helper.from_array(array, value.name))
            model.graph.input.remove(value)


def is_variable(tensor: tf.Tensor) -> bool:
    return tensor.dtype == tf.resource


def to_onnx(function: Callable, specs: list[tf.TensorSpec], opset: int) -> ModelProto:
    """The graph of `function`, a pure function of tensors, as tf2onnx writes it: foreign nodes and all."""
    try:
        with quiet():
            traced = Traced(function, specs)
            model, _ = tf2onnx.convert.from_function(traced, specs, opset=opset, custom_ops={"PyFunc": DOMAIN})
            traced.settle_captures(model)
    except ExportError:
        raise
    except Exception as error:
        raise ExportError(
            f"The model could not be traced for export. {type(error).__name__}: {first_lines(error)} If its inputs are "
            "not what it was first called with, pass inputs=: arrays as the model takes them, or keras.InputSpec."
        ) from error
    return model


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the log messages and warnings of tf2onnx and TensorFlow; one thread at a time, as these are global."""
    with LOCK:
        yield from silenced()


def silenced() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("tf2onnx", "tensorflow")]
    children = [logging.getLogger(n) for n in logging.root.manager.loggerDict if n.startswith("tf2onnx")]
    levels = [(logger, logger.level) for logger in (*loggers, *children)]
    try:
        for logger, _ in levels:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in levels:
            logger.setLevel(level)

"""A model as a pure function, traced by TensorFlow and written as an ONNX graph by tf2onnx."""

from __future__ import annotations

import contextlib
import logging
import math
import warnings
from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf
import tf2onnx
from onnx import ModelProto, numpy_helper

from keras_rnnkit.export.errors import ExportError, first_lines
from keras_rnnkit.export.lowering.placeholders import DOMAIN
from keras_rnnkit.export.reading.hooks.patches import LOCK
from keras_rnnkit.export.tracing.onnx_forms import handlers
from keras_rnnkit.export.writing.emitter import names_read

LARGE = 2**20
"""Bytes from which a weight does not travel through the trace."""


class Traced:
    """A traced function, in the form in which tf2onnx asks for it.

    large_weights: variables that are inputs of the trace, and constants of the ONNX graph. TensorFlow's freezing and
    its optimizers, and tf2onnx after them, copy every constant dozens of times; an input has no content to copy.
    """

    def __init__(self, function: Callable, specs: list[tf.TensorSpec], large_weights: list[keras.Variable]):
        self.weights = {f"rnnkit_weight_{i:04d}": weight for i, weight in enumerate(large_weights)}
        weight_specs = [tf.TensorSpec(w.shape, w.dtype, name) for name, w in self.weights.items()]
        count = len(specs)
        self.specs = [*specs, *weight_specs]

        def with_weights(*arrays):
            with keras.StatelessScope(state_mapping=list(zip(large_weights, arrays[count:], strict=True))):
                return function(*arrays[:count])

        self.concrete = tf.function(with_weights, input_signature=self.specs, autograph=False).get_concrete_function()

    def get_concrete_function(self, *_):
        return self.concrete

    def insert_weights(self, model: ModelProto) -> None:
        """Put the large weights that are read in the place of the inputs that stood for them."""
        read = names_read(model.graph.node)
        for value in [value for value in model.graph.input if value.name in self.weights]:
            model.graph.input.remove(value)
            if value.name in read:
                array = keras.ops.convert_to_numpy(self.weights[value.name])
                model.graph.initializer.append(numpy_helper.from_array(array, value.name))

    def settle_captures(self, model: ModelProto) -> None:
        """Tensors that a layer keeps as constants are captured by the trace; tf2onnx takes them for inputs."""
        captured = {inside.name: outside for outside, inside in self.concrete.graph.captures if not is_variable(inside)}
        for value in [value for value in model.graph.input if value.name in captured]:
            array = np.asarray(captured[value.name])
            model.graph.initializer.append(numpy_helper.from_array(array, value.name))
            model.graph.input.remove(value)


def is_variable(tensor: tf.Tensor) -> bool:
    return tensor.dtype == tf.resource


def large_weights(model: keras.Model) -> list[keras.Variable]:
    """The matrices that are worth leaving out of the trace; kernels of convolutions are transposed, and stay in it."""
    sizes = {"float32": 4, "float64": 8, "float16": 2, "bfloat16": 2}
    return [w for w in model.weights if len(w.shape) <= 2 and math.prod(w.shape) * sizes.get(w.dtype, 0) >= LARGE]


def to_onnx(
    function: Callable, specs: list[tf.TensorSpec], opset: int, weights: Sequence[keras.Variable] = ()
) -> ModelProto:
    """The graph of `function`, a pure function of tensors, as tf2onnx writes it, placeholder nodes included."""
    try:
        with quiet():
            traced = Traced(function, specs, list(weights))
            model, _ = tf2onnx.convert.from_function(
                traced, traced.specs, opset=opset, custom_ops={"PyFunc": DOMAIN}, custom_op_handlers=handlers()
            )
            traced.insert_weights(model)
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

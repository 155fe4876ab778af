"""ONNX forms of TensorFlow operations for which tf2onnx has none.

Each is written for tf2onnx: it takes the node in place and builds what computes the same from ONNX operators.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def erfc(context, node, name, arguments):
    """erfc(x) = 1 - erf(x)"""
    build = Builder(context, node)
    build.finish("Sub", build.constant(1), build.node("Erf", node.input[0]))


def expm1(context, node, name, arguments):
    """exp(x) - 1; near zero, where that would lose digits, 2 t / (1 - t) with t = tanh(x / 2)."""
    build = Builder(context, node)
    x = node.input[0]
    t = build.node("Tanh", build.node("Mul", x, build.constant(0.5)))
    near = build.node("Div", build.node("Mul", t, build.constant(2)), build.node("Sub", build.constant(1), t))
    far = build.node("Sub", build.node("Exp", x), build.constant(1))
    is_near = build.node("Less", build.node("Abs", x), build.constant(0.5))
    build.finish("Where", is_near, near, far)


def log1p(context, node, name, arguments):
    """log(1 + x); near zero, where that would lose digits, 2 artanh(x / (2 + x)) by its series."""
    build = Builder(context, node)
    x = node.input[0]
    q = build.node("Div", x, build.node("Add", x, build.constant(2)))
    square = build.node("Mul", q, q)
    series = build.constant(1 / 9)
    for odd in (7, 5, 3, 1):
        series = build.node("Add", build.node("Mul", series, square), build.constant(1 / odd))
    near = build.node("Mul", build.node("Mul", q, series), build.constant(2))
    far = build.node("Log", build.node("Add", x, build.constant(1)))
    is_near = build.node("Less", build.node("Abs", x), build.constant(0.2))
    build.finish("Where", is_near, near, far)


def bucketize(context, node, name, arguments):
    """The number of boundaries that are not above x."""
    build = Builder(context, node)
    boundaries = np.array(node.get_attr_value("boundaries"), np.float32)
    x = build.node("Cast", node.input[0], to=FLOAT)
    x = build.node("Unsqueeze", x, build.integers([-1]))
    passed = build.node("Cast", build.node("GreaterOrEqual", x, build.constant(boundaries)), to=INT32)
    build.finish("ReduceSum", passed, build.integers([-1]), keepdims=0)


def sign_bits(context, node, name, arguments):
    """A bitcast of float32 to int32 of which only the sign bit is read, as keras.ops.signbit, argmax and argmin do.

    -1 for a number below zero and for -0.0, whose reciprocal is minus infinity; 0 for all others, NaN included.
    """
    if not reads_sign_bit_only(context, node):
        return keep(context, node, name, arguments)
    build = Builder(context, node)
    zero = build.constant(0)
    x, reciprocal = node.input[0], build.node("Reciprocal", node.input[0])
    negative = build.node("Or", build.node("Less", x, zero), build.node("Less", reciprocal, zero))
    build.finish("Neg", build.node("Cast", negative, to=INT32))


def reads_sign_bit_only(context, node) -> bool:
    kinds = context.get_dtype(node.input[0]), context.get_dtype(node.output[0])
    readers = context.find_output_consumers(node.output[0])
    return kinds == (FLOAT, INT32) and bool(readers) and all(selects_sign_bit(reader) for reader in readers)


def selects_sign_bit(node) -> bool:
    constants = [source.get_tensor_value(as_list=False) for source in node.inputs if source.is_const()]
    return node.type in ("BitwiseAnd", "BitAnd") and any(np.all(c == np.iinfo(np.int32).min) for c in constants)


def keep(context, node, name, arguments):
    """Leave the node as it is; an export refuses it in the end, with its name."""


FLOAT, INT32 = 1, 6
"""onnx.TensorProto's numbers for these types."""
FORMS = {"Erfc": erfc, "Expm1": expm1, "Log1p": log1p, "Bucketize": bucketize, "Bitcast": sign_bits}


def handlers() -> dict[str, Any]:
    """What `tf2onnx.convert` takes as `custom_op_handlers`."""
    return {operation: (form, []) for operation, form in FORMS.items()}


class Builder:
    """Builds the nodes that take the place of one, which `finish` ends."""

    def __init__(self, context, node):
        self.context, self.replaced = context, node
        self.shape, self.dtype = context.get_shape(node.output[0]), context.get_dtype(node.output[0])
        self.number_type = np.float64 if context.get_dtype(node.input[0]) == 11 else np.float32

    def constant(self, value: Any) -> str:
        return self._constant(np.array(value, self.number_type))

    def integers(self, values: list[int]) -> str:
        return self._constant(np.array(values, np.int64))

    def _constant(self, array: np.ndarray) -> str:
        name = f"{self.replaced.name}/constant_{len(self.context.get_nodes())}"
        return self.context.make_const(name, array).output[0]

    def node(self, operation: str, *inputs: str, **attributes) -> str:
        return self.context.make_node(operation, list(inputs), attr=attributes).output[0]

    def finish(self, operation: str, *inputs: str, **attributes) -> None:
        """The last node, under the name that the rest of the graph reads."""
        output = self.replaced.output[0]
        self.context.remove_node(self.replaced.name)
        self.context.make_node(
            operation, list(inputs), attr=attributes, outputs=[output], shapes=[self.shape], dtypes=[self.dtype]
        )

"""Layer normalisation in one operator.

s = x - mean(x);  y = s / sqrt(mean(s * s) + epsilon) * gain (+ bias)     along the last axis
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from onnx import NodeProto, helper

from keras_rnnkit.export.writing.rewriting.pattern import Nodes

OPSET = 17


class Match(NamedTuple):
    """x normalised, times gain, plus bias where there is one, under the name y; and the nodes that did it."""

    x: str
    gain: str
    bias: str | None
    epsilon: float
    y: str
    nodes: list[NodeProto]


def apply(graph: Nodes) -> list[NodeProto]:
    """The nodes with every match replaced, each at its last node's place."""
    matches = [match for node in graph.nodes if node.op_type == "Div" and (match := at(graph, node))]
    last = {id(match.nodes[-1]): match for match in matches}
    gone = {id(node) for match in matches for node in match.nodes}
    return [one_node(last[id(n)]) if id(n) in last else n for n in graph.nodes if id(n) in last or id(n) not in gone]


def at(graph: Nodes, division: NodeProto) -> Match | None:
    """The match that this division is part of."""
    centred, deviation = division.input
    subtraction, root = graph.writer_of(centred, "Sub"), graph.writer_of(deviation, "Sqrt")
    addition = root and graph.writer_of(root.input[0], "Add")
    if subtraction is None or root is None or addition is None:
        return None
    epsilon = graph.constant(addition.input[1])
    variance = graph.writer_of(addition.input[0], "ReduceMean")
    square = variance and graph.writer_of(variance.input[0], "Mul")
    mean = graph.writer_of(subtraction.input[1], "ReduceMean")
    scaling = graph.only_reader(division.output[0], "Mul")
    if epsilon is None or epsilon.ndim or square is None or variance is None or mean is None or scaling is None:
        return None
    x, gain = subtraction.input[0], graph.other_input(scaling, division.output[0])
    same = list(square.input) == [centred, centred] and mean.input[0] == x
    if not same or not is_vector(graph, gain) or not (over_last(graph, mean) and over_last(graph, variance)):
        return None
    inside = [mean, subtraction, square, variance, addition, root, division]
    if not graph.private([name for node in inside[:-1] for name in node.output], inside):
        return None
    shift = graph.only_reader(scaling.output[0], "Add")
    bias = shift and graph.other_input(shift, scaling.output[0])
    if shift is not None and bias is not None and (is_vector(graph, bias) or is_row_by_row(graph, bias, gain, x)):
        return Match(x, gain, bias, float(epsilon), shift.output[0], [*inside, scaling, shift])
    return Match(x, gain, None, float(epsilon), scaling.output[0], [*inside, scaling])


def over_last(graph: Nodes, reduction: NodeProto) -> bool:
    attributes = {a.name: helper.get_attribute_value(a) for a in reduction.attribute}
    axes = graph.constant(reduction.input[1]) if len(reduction.input) > 1 else np.array(attributes.get("axes", []))
    return axes is not None and axes.tolist() == [-1] and attributes.get("keepdims", 1) == 1


def is_vector(graph: Nodes, name: str) -> bool:
    array = graph.constant(name)
    return array is not None and array.ndim == 1


def is_row_by_row(graph: Nodes, bias: str, gain: str, x: str) -> bool:
    """Whether the bias has one vector for each row of x [B, D]: the operator takes that too, and saves an addition."""
    product = graph.writer_of(x, "MatMul")
    rows = graph.shapes.get(product.input[0]) if product is not None else None
    width, shape = graph.constant(gain), graph.shapes.get(bias)
    return bool(rows and shape and width is not None and len(rows) == len(shape) == 2 and shape[1] == len(width))


def one_node(match: Match) -> NodeProto:
    inputs = [match.x, match.gain, *([match.bias] if match.bias else [])]
    name = f"{match.nodes[-1].name}/LayerNormalization"
    return helper.make_node("LayerNormalization", inputs, [match.y], name=name, axis=-1, epsilon=match.epsilon)

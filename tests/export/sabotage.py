"""Ways to break a graph. Each takes the graph of a file and changes it in place."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from keras_rnnkit.export.writing.emitter import replace_names, subgraphs

Break = Callable[[ModelProto], None]


# ---------------------------------------------------------------------- finding things


def nodes(graph: GraphProto) -> Iterator[NodeProto]:
    """All nodes, those of loops and branches too."""
    for node in graph.node:
        yield node
        for inner in subgraphs(node):
            yield from nodes(inner)


def first(model: ModelProto, op: str, within: str = "") -> NodeProto:
    return next(n for n in nodes(model.graph) if n.op_type == op and within in n.name)


def constant(model: ModelProto, name: str) -> TensorProto:
    """The constant behind a value, through the nodes that only shape it."""
    constants = {i.name: i for i in model.graph.initializer}
    while name not in constants:
        name = next(n for n in nodes(model.graph) if name in n.output).input[0]
    return constants[name]


def change(tensor: TensorProto, function: Callable[[np.ndarray], np.ndarray]) -> None:
    array = numpy_helper.to_array(tensor).copy()
    changed = np.asarray(function(array.copy())).astype(array.dtype)
    assert not np.array_equal(changed, array)
    tensor.CopyFrom(numpy_helper.from_array(changed, tensor.name))


# ---------------------------------------------------------------------- weights


def nudge(array: np.ndarray) -> np.ndarray:
    array.flat[0] += np.array(0.05 * (abs(array.flat[0]) + 0.1) if array.dtype.kind == "f" else 40, array.dtype)
    return array


def zero(array: np.ndarray) -> np.ndarray:
    return np.zeros_like(array)


def weight(op: str, slot: int, function=nudge, within: str = "") -> Break:
    """Changes the constant that an operator reads."""
    return lambda model: change(constant(model, first(model, op, within).input[slot]), function)


def constants_of_shape(*shape: int, function=nudge) -> Break:
    """Changes the first constant of a shape."""

    def broken(model):
        change(next(i for i in model.graph.initializer if tuple(i.dims) == shape), function)

    return broken


def swap_gates(op: str, gates: int, a: int, b: int) -> Break:
    """The weights of two gates in each other's place, in every constant of a native operator."""

    def swapped(array: np.ndarray) -> np.ndarray:
        blocks = np.split(array, gates, axis=1)
        blocks[a], blocks[b] = blocks[b], blocks[a]
        return np.concatenate(blocks, axis=1)

    def broken(model):
        node = first(model, op)
        change(constant(model, node.input[1]), swapped)
        change(constant(model, node.input[2]), swapped)

    return broken


def in_half_precision(model: ModelProto) -> None:
    """float16 where float32 was said."""
    for tensor in [i for i in model.graph.initializer if i.data_type == TensorProto.FLOAT and i.dims]:
        array = numpy_helper.to_array(tensor)
        tensor.CopyFrom(numpy_helper.from_array(array.astype(np.float16).astype(np.float32), tensor.name))


# ---------------------------------------------------------------------- values


def behind(name: str, make: Callable[[str, str], list[NodeProto]], **arrays: np.ndarray) -> Break:
    """Nodes behind an output of the graph: make(what stood there, the name of the output)."""

    def broken(model):
        model.graph.initializer.extend(numpy_helper.from_array(x, n) for n, x in arrays.items())
        writer = next(n for n in model.graph.node if name in n.output)
        for node in [writer, *[n for n in model.graph.node if name in n.input]]:
            replace_names(node, {name: "before_sabotage"})
        model.graph.node.extend(make("before_sabotage", name))

    return broken


def apply(op: str, name: str, array=None, **attributes) -> Break:
    """An operator behind an output, with a constant as its second input."""
    arrays = {} if array is None else {"sabotage": np.asarray(array)}
    return behind(name, lambda x, y: [helper.make_node(op, [x, *arrays], [y], **attributes)], **arrays)


def shift(name: str, axis: int) -> Break:
    """An output one place further along an axis, round the end."""
    arrays = {
        "from": np.array([1], np.int64),
        "end": np.array([2**31], np.int64),
        "zero": np.array([0], np.int64),
        "axis": np.array([axis], np.int64),
    }

    def made(x: str, y: str) -> list[NodeProto]:
        return [
            helper.make_node("Slice", [x, "from", "end", "axis"], ["rest_of_it"]),
            helper.make_node("Slice", [x, "zero", "from", "axis"], ["first_of_it"]),
            helper.make_node("Concat", ["rest_of_it", "first_of_it"], [y], axis=axis),
        ]

    return behind(name, made, **arrays)


def swap_outputs(a: str, b: str) -> Break:
    def broken(model):
        for node in model.graph.node:
            replace_names(node, {a: b, b: a})

    return broken


def swap_inputs(op: str, a: int, b: int) -> Break:
    """Two inputs of an operator in each other's place, such as the states h and c."""

    def broken(model):
        node = first(model, op)
        node.input[a], node.input[b] = node.input[b], node.input[a]

    return broken


def read_instead(op: str, slot: int, name: str) -> Break:
    def broken(model):
        first(model, op).input[slot] = name

    return broken


def into_layer(layer: str, kinds: tuple[str, ...], op: str, array, **attributes) -> Break:
    """An operator with a constant in front of a layer, at the input that a node of one of these kinds writes."""

    def broken(model):
        inside = [n for n in model.graph.node if layer in n.name]
        written = {name for n in model.graph.node for name in n.output if n.op_type in kinds and layer not in n.name}
        name = next(x for n in inside for x in n.input if x in written)
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), "sabotage"))
        place = min(i for i, n in enumerate(model.graph.node) if layer in n.name and name in n.input)
        for node in inside:
            replace_names(node, {name: "sabotaged"})
        model.graph.node.insert(place, helper.make_node(op, [name, "sabotage"], ["sabotaged"], **attributes))

    return broken


def behind_node(op: str, layer: str, other: str, array) -> Break:
    """An operator with a constant behind the first node of a kind in a layer."""

    def broken(model):
        node = first(model, op, layer)
        name = node.output[0]
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), "sabotage"))
        place = next(i for i, n in enumerate(model.graph.node) if name in n.output)
        replace_names(node, {name: "before_sabotage"})
        model.graph.node.insert(place + 1, helper.make_node(other, ["before_sabotage", "sabotage"], [name]))

    return broken


def attribute(op: str, name: str, value) -> Break:
    """Another attribute of an operator, such as its activations."""

    def broken(model):
        node = first(model, op)
        kept = [a for a in node.attribute if a.name != name]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute(name, value)])

    return broken


def without_output(name: str) -> Break:
    def broken(model):
        outputs = [value for value in model.graph.output if value.name != name]
        del model.graph.output[:]
        model.graph.output.extend(outputs)

    return broken


def start_of_stream(model: ModelProto) -> None:
    """Another value for a stream to start with, in the file's facts about its states."""
    (entry,) = [e for e in model.metadata_props if e.key == "keras_rnnkit.states"]
    states = json.loads(entry.value)
    states[0]["start"] = 0.3
    entry.value = json.dumps(states)


def inside_loops(function: Break) -> Break:
    """Only in the bodies of loops, not around them."""

    def broken(model):
        bodies = ModelProto()
        for node in model.graph.node:
            for body in subgraphs(node):
                bodies.graph.CopyFrom(body)
                function(bodies)
                body.CopyFrom(bodies.graph)

    return broken


def swap_in_body(op: str, a: int, b: int) -> Break:
    """Two outputs of a loop's body in each other's place."""

    def broken(model):
        body = subgraphs(first(model, op))[0]
        outputs = [value.SerializeToString() for value in body.output]
        body.output[a].ParseFromString(outputs[b])
        body.output[b].ParseFromString(outputs[a])

    return broken


def shift_input(name: str, axis: int) -> Break:
    """What is read of an input is one place further along an axis, round the end."""
    arrays = {"from": [1], "end": [2**31], "zero": [0], "axis": [axis]}

    def broken(model):
        for node in model.graph.node:
            replace_names(node, {name: "sabotaged"})
        model.graph.initializer.extend(numpy_helper.from_array(np.array(x), n) for n, x in arrays.items())
        made = [
            helper.make_node("Slice", [name, "from", "end", "axis"], ["rest_of_it"]),
            helper.make_node("Slice", [name, "zero", "from", "axis"], ["first_of_it"]),
            helper.make_node("Concat", ["rest_of_it", "first_of_it"], ["sabotaged"], axis=axis),
        ]
        for place, node in enumerate(made):
            model.graph.node.insert(place, node)

    return broken


def other_operator(op: str, other: str) -> Break:
    """Another operator in the place of the first one of a kind."""

    def broken(model):
        first(model, op).op_type = other

    return broken


def swap_operands(op: str) -> Break:
    """The first two inputs of the last operator of a kind in each other's place."""

    def broken(model):
        node = [n for n in model.graph.node if n.op_type == op][-1]
        node.input[0], node.input[1] = node.input[1], node.input[0]

    return broken


def copy_of(source: str, name: str) -> Break:
    """An output that is a copy of another value."""
    return behind(name, lambda x, y: [helper.make_node("Identity", [source], [y])])

"""The ONNX reading of the vocabulary says what the NumPy reading says."""

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from keras_rnnkit.export.writing.emitter import Emitter
from keras_rnnkit.ops import activations
from keras_rnnkit.ops import numpy as nops
from keras_rnnkit.ops import onnx as oops
from keras_rnnkit.ops.onnx_values import Value
from tests.ops import test_readings
from tests.ops.test_readings import CALLS, CALLS_BY_NAME, IDS, X, Y, leaves

OPSETS = (13, 15, 17, 18)


def evaluated(write, arrays, opset=18):
    """What onnxruntime makes of the values that `write(*inputs)` returns; the first axis of each input is free."""
    graph = Emitter(opset)
    inputs = [Value(graph, f"input_{i}", (None, *a.shape[1:])[: a.ndim], a.dtype) for i, a in enumerate(arrays)]
    values = leaves(write(*inputs))
    names = {v.name: v for v in inputs}

    def described(value, shape):
        return helper.make_tensor_value_info(value.name, helper.np_dtype_to_tensor_dtype(value.dtype), shape)

    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "test",
            [described(v, [None if n is None else n for n in v.shape]) for v in names.values()],
            [described(v, list(v.shape)) for v in values],
            list(graph.initializers.values()),
        ),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=8,
    )
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, dict(zip(names, arrays, strict=True))), values


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("name", CALLS_BY_NAME)
def test_readings_agree(name, opset, monkeypatch):
    expected = leaves(CALLS_BY_NAME[name](nops))

    def write(x, y, ids):
        for constant, value in (("X", x), ("Y", y), ("IDS", ids)):
            monkeypatch.setattr(test_readings, constant, value)
        return CALLS_BY_NAME[name](oops)

    found, values = evaluated(write, [X, Y, IDS], opset)
    for a, b, value in zip(expected, found, values, strict=True):
        np.testing.assert_allclose(b, a, atol=1e-6, rtol=1e-6)
        assert len(value.shape) == b.ndim
        assert all(n in (None, m) for n, m in zip(value.shape, b.shape, strict=True))
        assert value.dtype == b.dtype


@pytest.mark.parametrize("name", activations.EQUATIONS)
def test_activations_are_those_of_keras(name):
    function = keras.activations.get(name)
    x = np.linspace(-7, 7, 57, dtype="float32").reshape(3, 19)
    (found,), _ = evaluated(lambda x: oops.activation(function, x), [x])
    np.testing.assert_allclose(found, keras.ops.convert_to_numpy(function(x)), atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("name", activations.EQUATIONS)
def test_activations_of_large_inputs_are_those_of_keras(name):
    """Softplus computed as log(1 + exp(x)) would be infinite from x = 89 on."""
    function = keras.activations.get(name)
    x = np.float32([[-1e30, -1e5, -1e3, -104, -90, -50, -20, 0, 20, 50, 90, 104, 1e3, 1e5, 1e30]])
    expected = keras.ops.convert_to_numpy(function(x))
    (found,), _ = evaluated(lambda x: oops.activation(function, x), [x])
    with np.errstate(over="ignore"):  # of exp itself
        by_numpy = oops.numpy_ops.activation(function, x)
    for readings in (found, by_numpy):
        np.testing.assert_allclose(readings, expected, rtol=1e-4, atol=1e-6)


INDEXINGS = {
    "row": lambda x: x[0],
    "last": lambda x: x[..., -1],
    "columns": lambda x: x[:, 1:3],
    "every second, backwards": lambda x: x[:, ::-2],
    "mirrored": lambda x: x[::-1],
    "new axis": lambda x: x[:, None, 1],
    "first column kept": lambda x: x[..., :1],
}


@pytest.mark.parametrize("name", INDEXINGS)
def test_indexing_is_that_of_numpy(name):
    (found,), (value,) = evaluated(INDEXINGS[name], [X])
    np.testing.assert_array_equal(found, INDEXINGS[name](X))
    free = () if name == "row" else (0,)
    assert value.shape == tuple(None if axis in free else n for axis, n in enumerate(found.shape))


OPERATORS = {
    "arithmetic": lambda x: (1.0 - x) * 2.0 / (x * x + 1.0) - (-x) + 3.0,
    "constant first": lambda x: Y[0] * x + Y[0] / (x * x + 1.0) - Y[1],
    "comparisons": lambda x: [x > 0.0, x >= 0.1, x < 0.2, x <= 0.3],
}


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_are_those_of_numpy(name):
    found, _ = evaluated(OPERATORS[name], [X])
    for a, b in zip(leaves(OPERATORS[name](X)), found, strict=True):
        np.testing.assert_allclose(b, a, atol=1e-6)


def test_constants_are_computed_and_never_written():
    graph = Emitter(18)
    x = Value(graph, "x", (None, 4), np.float32)
    scale = oops.sqrt(oops.maximum(Y, 0.0) + 1e-3)[0]
    _ = x * scale
    assert [node.op_type for node in graph.nodes] == ["Mul"]


@pytest.mark.parametrize("name", CALLS)
def test_every_function_of_constants_is_computed(name):
    function = getattr(oops, name)
    assert function.__name__ == name
    for ours, expected in zip(leaves(CALLS[name](oops)), leaves(CALLS[name](nops)), strict=True):
        assert isinstance(ours, np.ndarray | np.generic)
        np.testing.assert_array_equal(ours, expected)


def test_equal_constants_are_written_once():
    graph = Emitter(18)
    x = Value(graph, "x", (None, 4), np.float32)
    _ = x * Y[0] + Y[0].copy()
    assert len(graph.initializers) == 1


def test_a_value_has_no_truth():
    x = Value(Emitter(18), "x", (None, 4), np.float32)
    with pytest.raises(TypeError, match=r"Use ops.where\(condition, a, b\)"):
        bool(x > 0.0)

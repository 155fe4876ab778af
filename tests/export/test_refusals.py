"""What no file can hold is refused in one sentence that names the layer and what to do, in every format."""

import itertools

import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf

import keras_rnnkit as rk
from keras_rnnkit.export.errors import ExportError
from tests.covering import studied
from tests.export.conftest import randomised
from tests.export.table import sequential
from tests.forking import python

L = keras.layers
X = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
TOKEN_IDS = r"the token ids, keras.Input\(\(None,\), dtype='int32'\)"


@pytest.fixture
def refused(tmp_path):
    """refused(model, sentence, **arguments): no file, and no folder, of either format."""

    def check(model, sentence, formats=("onnx", "saved_model"), **arguments):
        for kind in formats:
            with pytest.raises(ExportError, match=sentence):
                getattr(rk, f"export_{kind}")(model, tmp_path / kind, **arguments)
        assert list(tmp_path.iterdir()) == []

    return check


def words(lookup, shape=(None,), dtype="string"):
    x = keras.Input(shape, dtype=dtype, name="text")
    return keras.Model(x, L.GRU(3)(L.Embedding(9, 3)(lookup(x))))


def test_lookups_of_text(refused):
    for lookup, shape in ((L.StringLookup, (None,)), (L.TextVectorization, ())):
        layer = lookup(vocabulary=["a", "b"], name="look")
        refused(words(layer, shape), f"input 'text' is of strings.*layer 'look' belongs before the model.*{TOKEN_IDS}")


def test_lookups_of_numbers(refused):
    for layer in (L.IntegerLookup(vocabulary=[3, 5], name="look"), L.Hashing(5, name="look")):
        refused(words(layer, dtype="int64"), f"The layer 'look' .*looks up tokens.*{TOKEN_IDS}", formats=["onnx"])


class CallsPython(L.Layer):
    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)
        self.function = function

    def call(self, x):
        y = self.function(lambda a: a * 2, [x], tf.float32)
        y.set_shape(x.shape)
        return y


class Around(keras.Model):
    """A subclassed model that calls a layer before a recurrent one."""

    def __init__(self, layer):
        super().__init__()
        self.layer, self.reader = layer, L.GRU(3, return_sequences=True)

    def call(self, x):
        return self.reader(self.layer(x))


@pytest.mark.parametrize("function", [tf.numpy_function, tf.py_function])
def test_python_inside_a_model(refused, function):
    model = Around(CallsPython(function, name="mine"))
    model(X)
    refused(model, r"The layer 'mine' \(CallsPython\) calls Python .*Write it with keras.ops")
    refused(model, r"The layer 'mine' \(CallsPython\) calls Python", formats=["onnx"], mode="stream")


class Cell(L.Layer):
    """A cell of Keras' own kind, with a function of the user's."""

    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)
        self.function, self.state_size = function, 3

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 3), name="kernel")

    def call(self, x, states):
        h = self.function(keras.ops.matmul(x, self.kernel) + states[0])
        return h, [h]


def test_numpy_inside_a_cell(refused):
    model = keras.Sequential([L.RNN(Cell(np.tanh), name="mine")])
    model(X)
    refused(model, r"The layer 'mine' \(RNN\) could not be traced.*calls NumPy on a tensor; write it with keras.ops")


class NumpyCell(rk.cells.Cell):
    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], self.units), name="kernel")

    def project(self, ops, w, x):
        return ops.matmul(x, w.kernel)

    def recur(self, ops, w, h):
        return h

    def gates(self, ops, w, z, r, state):
        h = np.tanh(z + r)
        return h, [h]


def test_numpy_inside_an_equation(refused):
    model = keras.Sequential([rk.Recurrent(NumpyCell(3), name="mine", kernel="scan")])
    model(X)
    refused(model, r"The layer 'mine' \(Recurrent\) could not be traced.*calls NumPy on a tensor", formats=["onnx"])


def test_an_operation_without_an_onnx_form_inside_a_cell(refused):
    model = keras.Sequential([L.RNN(Cell(tf.math.bessel_i0), name="mine")])
    model(X)
    refused(model, "no ONNX form for BesselI0, which the layer 'mine' uses", formats=["onnx"])


@studied("end", [7, -1, "a", 2.0, True], [7, "a", True])
def test_an_end_that_is_no_token(refused, end):
    model = sequential(L.Embedding(7, 3), L.GRU(4, return_sequences=True), L.Dense(7), shape=(None,), dtype="int32")
    sentence = f"an integer from 0 to 6, or None. Received: end={end!r}"
    refused(model, sentence, formats=["onnx"], mode="generate", end=end, verify=False)


def test_an_end_may_be_a_numpy_integer(tmp_path):
    model = sequential(L.Embedding(7, 3), L.GRU(4, return_sequences=True), L.Dense(7), shape=(None,), dtype="int32")
    rk.export_onnx(model, tmp_path / "model.onnx", mode="generate", end=np.int64(3), verify=False)
    assert '"keras_rnnkit.end"' in str(onnx.load(tmp_path / "model.onnx").metadata_props)


def test_examples_that_are_no_arrays(refused):
    refused(sequential(L.GRU(3)), "inputs= takes arrays.*Received: a float.*np.array", inputs=X.tolist())


OTHER_BACKEND = """
import keras, keras_rnnkit as rk
model = keras.Sequential([keras.Input((None, 3)), keras.layers.GRU(2)])
for export in (rk.export_onnx, rk.export_saved_model):
    try:
        export(model, "file")
    except ValueError as error:
        print(type(error).__name__, error)
"""


@pytest.mark.study  # tests/export/test_errors.py only says that there is another one
def test_another_backend(tmp_path):
    result = python("-c", OTHER_BACKEND, env={"KERAS_BACKEND": "jax"}, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    lines = [line for line in result.stdout.splitlines() if "ExportError" in line]
    assert len(lines) == 2 and all("KERAS_BACKEND='jax'" in line for line in lines), result.stderr[-2000:]


# ---------------------------------------------------------------------- what is no reason to refuse


@studied(
    "dtype, mode",
    itertools.product(["float16", "bfloat16", "mixed_float16"], ["sequence", "stream"]),
    [("bfloat16", "sequence"), ("mixed_float16", "stream")],
)
def test_layers_of_16_bits_are_exported_in_float32(tmp_path, dtype, mode):
    """Keras cannot draw orthogonal matrices in bfloat16."""
    drawn = {"recurrent_initializer": "zeros", "dtype": dtype}
    model = sequential(
        L.Dense(3, dtype=dtype),
        L.LayerNormalization(dtype=dtype),
        L.Conv1D(3, 2, padding="causal", dtype=dtype),
        rk.LSTM(4, return_sequences=True, **drawn),
        L.GRU(3, return_sequences=True, **drawn),
    )
    report = rk.export_onnx(randomised(model), tmp_path / "model.onnx", mode=mode)
    assert [row.lowering for row in report.rows] == ["LSTM", "GRU"] and report.error < 1e-5
    assert {str(weight.dtype) for weight in model.layers[3].weights} == {"float32" if "mixed" in dtype else dtype}


class Masked(keras.Model):
    def __init__(self):
        super().__init__()
        self.reader = L.GRU(3)

    def call(self, x, valid):
        return self.reader(x, mask=valid)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64"])
def test_a_mask_given_as_an_array_has_free_steps(tmp_path, dtype):
    model, valid = Masked(), np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], dtype)
    model(X, valid)
    report = rk.export_onnx(randomised(model), tmp_path / "model.onnx", inputs=(X, valid), verify=dtype == "bool")
    assert report.inputs == {"input_0": ["batch", "input_0_time", 3], "input_1": ["batch", "input_1_time"]}


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int64", "float64"])
def test_inputs_of_other_types(tmp_path, dtype):
    x = keras.Input((None, 3), name="x", dtype=dtype)
    model = randomised(keras.Model(x, L.GRU(3)(keras.ops.cast(x, "float32") / 255.0)))
    assert rk.export_onnx(model, tmp_path / "model.onnx").error < 1e-5


def test_a_model_of_64_bits(tmp_path):
    model = sequential(L.Dense(3, dtype="float64"), rk.GRU(3, dtype="float64"), dtype="float64")
    assert rk.export_onnx(randomised(model), tmp_path / "model.onnx").error < 1e-12


class InAFunction(L.Layer):
    """Calls its layers in a `tf.function` with a condition on a tensor."""

    def __init__(self):
        super().__init__()
        self.reader = L.GRU(3, return_sequences=True, name="reader")

    def build(self, shape):
        self.reader.build(shape)

    @tf.function
    def call(self, x):
        if tf.size(x) > 0:  # noqa: SIM108 - the condition is what AutoGraph must see
            y = self.reader(x)
        else:
            y = self.reader(-x)
        return y


class WithFunction(keras.Model):
    def __init__(self):
        super().__init__()
        self.inner, self.head = InAFunction(), L.Dense(2)

    def call(self, x):
        return self.head(self.inner(x))


@studied("called_before", [True, False], [True])
def test_a_function_of_tensorflow_is_exported_and_not_left_with_our_nodes(tmp_path, called_before):
    """TensorFlow keeps the graph of a tf.function: that of an export must not be the one that later calls get."""
    model = WithFunction()
    model.inner.build((None, None, 3)), model.head.build((None, None, 3))
    model.built = True
    randomised(model)
    if called_before:
        model(X)
    report = rk.export_onnx(model, tmp_path / "m.onnx", inputs=keras.InputSpec(shape=(None, None, 3), name="x"))
    assert report.error < 1e-5 and {row.lowering for row in report.rows} == {"GRU"}
    plain = model.head(model.inner.reader(X))
    np.testing.assert_allclose(model(X), plain, atol=1e-5)
    np.testing.assert_allclose(tf.function(model)(X), plain, atol=1e-5)

"""Names: outputs come back under their own, layers are told apart by identity, and no name of a model meets ours."""

from collections import OrderedDict

import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf

import keras_rnnkit as rk
from keras_rnnkit.export.checking.sessions import session
from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.reading.names import distinct_name, layer_at
from keras_rnnkit.export.reading.signature import distinct, keyed_names
from keras_rnnkit.export.writing.emitter import subgraphs
from keras_rnnkit.export.writing.renaming import give_way, tensor_names
from keras_rnnkit.layers.traversal import inner_layers
from tests.covering import studied
from tests.export.conftest import randomised

L = keras.layers
RNG = np.random.default_rng(0)
SERIES = RNG.normal(size=(2, 5, 3)).astype("float32")


def run(path, feeds):
    runner = session(path.read_bytes())
    return dict(zip([value.name for value in runner.get_outputs()], runner.run(None, feeds), strict=True))


def assert_same(outputs, expected):
    assert set(outputs) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(np.asarray(outputs[name]), np.asarray(value), atol=1e-5, err_msg=name)


def two_heads(outputs):
    x = keras.Input((None, 3), name="x")
    h = L.GRU(4)(x)
    return randomised(keras.Model(x, outputs(L.Dense(2, name="first")(h), L.Dense(2, name="second")(h))))


def test_outputs_are_named_by_the_keys_that_lead_to_them_in_whatever_order(tmp_path):
    model = two_heads(lambda a, b: OrderedDict(c=a, b={"y": a, "x": b}, a=[b, a]))
    expected = model(SERIES)
    flat = {"a_0": expected["a"][0], "a_1": expected["a"][1], "b_x": expected["b"]["x"], "b_y": expected["b"]["y"]}
    flat["c"] = expected["c"]
    rk.export_onnx(model, tmp_path / "model.onnx")
    assert_same(run(tmp_path / "model.onnx", {"x": SERIES}), flat)
    rk.export_saved_model(model, tmp_path / "saved")
    loaded = tf.saved_model.load(tmp_path / "saved")
    assert_same(loaded.signatures["sequence"](x=tf.constant(SERIES)), flat)
    assert_same(loaded.serve(SERIES), flat)


class ByKey(keras.Model):
    """Subclassed, with inputs and outputs by keys that are not in alphabetical order."""

    def __init__(self):
        super().__init__()
        self.wide, self.narrow = L.GRU(3), L.GRU(2)

    def call(self, series):
        return OrderedDict(zz=self.wide(series["z"]), yy=self.narrow(series["a"]))


@pytest.mark.parametrize("shown", [True, False], ids=["inputs=", "first call"])
def test_inputs_of_an_ordered_dict_keep_their_keys(tmp_path, shown):
    example = OrderedDict(z=SERIES, a=RNG.normal(size=(2, 4, 5)).astype("float32"))
    model = ByKey()
    model(example)
    randomised(model)
    rk.export_onnx(model, tmp_path / "model.onnx", inputs=example if shown else None, verify=False)
    assert_same(run(tmp_path / "model.onnx", dict(example)), model(example))


class TwoReaders(keras.Model):
    """Two layers of one name: Keras allows it in a subclassed model."""

    def __init__(self):
        super().__init__()
        self.first = L.GRU(3, name="reader", return_sequences=True)
        self.second = L.LSTM(2, name="reader", return_sequences=True)

    def call(self, x):
        return self.second(self.first(x))


@studied("mode", ["sequence", "stream"], ["stream"])
def test_two_layers_of_one_name_are_both_lowered(tmp_path, mode):
    model = TwoReaders()
    model(SERIES)
    report = rk.export_onnx(randomised(model), tmp_path / "model.onnx", mode=mode)
    assert [(row.layer, row.lowering) for row in report.rows] == [("reader", "GRU"), ("reader_1", "LSTM")]
    assert report.error < 1e-5 and all(row.error is None or row.error < 1e-5 for row in report.rows)


class Hidden(L.Layer):
    """Calls a recurrent layer that Keras does not track, and that is called like one it does."""

    def __init__(self, layer):
        super().__init__()
        object.__setattr__(self, "layer", layer)

    def call(self, x):
        return self.layer(x)


class WithHidden(keras.Model):
    def __init__(self, hidden):
        super().__init__()
        self.reader, self.hidden = L.GRU(3, name="reader", return_sequences=True), Hidden(hidden)

    def call(self, x):
        return self.hidden(self.reader(x))


def test_a_layer_that_keras_does_not_track_is_not_taken_for_another(tmp_path):
    hidden = L.GRU(2, name="reader")
    hidden.build((None, None, 3))
    model = WithHidden(hidden)
    model(SERIES)
    report = rk.export_onnx(randomised(model), tmp_path / "model.onnx")
    assert report.error < 1e-5
    assert [(row.layer, row.lowering) for row in report.rows] == [("reader", "GRU"), ("reader_1", "as traced")]
    assert "Keras does not track it; make it an attribute" in report.rows[1].reason


OURS = ("constant_0", "state_0", "next_state_0", "gru/Shape_0", "rnnkit_input_0000", "rnnkit_output_0000")


@pytest.mark.parametrize("mode", ["sequence", "stream"])
def test_inputs_may_be_called_like_something_of_ours(tmp_path, mode):
    inputs = [keras.Input((None, 3)) for _ in OURS]
    y = L.GRU(4, name="gru", return_sequences=True)(L.Masking()(L.add(inputs)))
    model = randomised(keras.Model(inputs, L.Dense(2, name="y")(y)))
    report = rk.export_onnx(model, tmp_path / "model.onnx", mode=mode, input_names=list(OURS))
    names = [*report.inputs, *report.outputs]
    assert report.error < 1e-5 and names[: len(OURS)] == list(OURS) and len(set(names)) == len(names)
    if mode == "sequence":
        arrays = [i * SERIES for i, _ in enumerate(OURS)]
        assert_same(run(tmp_path / "model.onnx", dict(zip(OURS, arrays, strict=True))), {"y": model(arrays)})


def language_model(name):
    x = keras.Input((None,), name=name, dtype="int32")
    y = L.GRU(4, return_sequences=True)(L.Embedding(7, 3)(x))
    return randomised(keras.Model(x, L.Dense(7, name="logits")(y)))


@studied("name", ["noise", "temperature", "top_k", "top_p", "generated", "scores", "lengths"], ["noise", "generated"])
def test_an_input_called_like_one_of_the_token_loop_is_refused(tmp_path, name):
    with pytest.raises(ExportError, match=f"input '{name}' has the name .*input_names="):
        rk.export_onnx(language_model(name), tmp_path / "model.onnx", mode="generate", verify=False)
    assert list(tmp_path.iterdir()) == []


def test_that_input_may_get_another_name(tmp_path):
    model = language_model("noise")
    report = rk.export_onnx(model, tmp_path / "m.onnx", mode="generate", input_names=["tokens"], verify=False)
    assert list(report.inputs)[:2] == ["tokens", "noise"]


def test_outputs_called_like_inputs_and_like_each_other(tmp_path):
    x = keras.Input((None, 3), name="y")
    model = randomised(keras.Model(x, {"y": L.GRU(4)(x), "y_1": L.GRU(2)(x), "rnnkit_output_0001": L.GRU(3)(x)}))
    rk.export_onnx(model, tmp_path / "model.onnx")
    expected = model(SERIES)
    found = run(tmp_path / "model.onnx", {"y": SERIES})
    assert_same(found, {"y_2": expected["y"], **{k: expected[k] for k in ("y_1", "rnnkit_output_0001")}})


def test_distinct_names():
    assert distinct(["y", "y_1", "z"], {"y"}) == ["y_2", "y_1", "z"]
    assert distinct_name("a", {"a", "a_1"}) == "a_2"


def test_names_by_keys_follow_the_order_of_flattening():
    for structure in ({"b": 0, "a": 1}, OrderedDict(b=0, a=1), {"b": [0, 1], "a": {"c": 2}}):
        flat = keras.tree.flatten(structure)
        named = dict(zip(keyed_names(structure, ["x"] * len(flat)), flat, strict=True))
        for name, value in named.items():
            found = structure
            for key in name.split("_"):
                found = found[int(key)] if isinstance(found, list) else found[key]
            assert found == value


def test_every_layer_has_a_path_of_its_own():
    model = TwoReaders()
    model(SERIES)
    paths = [path for path, _ in inner_layers(model)]
    assert paths == ["reader", "reader_1"]
    assert layer_at("two_readers_1/reader_1/while", paths) == "reader_1"


def test_tensors_give_way_inside_loops_as_well():
    inner = onnx.parser.parse_graph("body (float[N] a) => (float[N] b) { b = Add(a, outer) }")
    loop = onnx.helper.make_node("Scan", ["x"], ["y"], num_scan_inputs=1, body=inner)
    graph = onnx.helper.make_graph([loop], "g", [], [], [onnx.numpy_helper.from_array(np.ones(1), "outer")])
    assert give_way(graph, {"outer", "a", "elsewhere"}) == {"a": "a_inside", "outer": "outer_inside"}
    assert set(tensor_names(graph)) == {"outer_inside", "a_inside", "b", "y"}
    (body,) = subgraphs(graph.node[0])
    assert list(body.node[0].input) == ["a_inside", "outer_inside"]

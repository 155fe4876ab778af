"""The runtime: no framework, streams that move on only when all went well, sentences for bad input."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_rnnkit as rk
from keras_rnnkit.runtime import BundleError, Graph, InputError
from tests.export.table import sequential

L = keras.layers


ALONE = """
import sys
import numpy as np
import keras_rnnkit as rk
bundle = rk.runtime.load(sys.argv[1])
stream = bundle.stream(rows=2)
whole = bundle.predict(np.ones((2, 3, 3), "float32"))
parts = [stream.push(np.ones((2, 1, 3), "float32")) for _ in range(3)]
np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, atol=1e-6)
assert not {"tensorflow", "keras", "jax", "torch", "onnx", "tf2onnx"} & set(sys.modules), sorted(sys.modules)
print("no framework")
"""


def test_it_needs_no_framework(folder):
    done = subprocess.run([sys.executable, "-c", ALONE, folder], capture_output=True, text=True)
    assert done.stdout.strip() == "no framework", done.stderr


def test_rows_can_be_reset_alone(folder, x):
    bundle = rk.runtime.load(folder)
    stream = bundle.stream(rows=2)
    stream.push(x[:, :3])
    stream.reset([1])
    found = stream.push(x[:, 3:])
    np.testing.assert_allclose(found[0], bundle.predict(x)[0, 3:], atol=1e-5)
    np.testing.assert_allclose(found[1], bundle.predict(x[:, 3:])[1], atol=1e-5)
    stream.reset()
    np.testing.assert_allclose(stream.push(x), bundle.predict(x), atol=1e-5)


def test_a_snapshot_is_a_place_to_go_back_to(folder, x):
    stream = rk.runtime.load(folder).stream(rows=2)
    stream.push(x[:, :2])
    kept = stream.snapshot()
    first = stream.push(x[:, 2:])
    stream.restore(kept)
    np.testing.assert_array_equal(stream.push(x[:, 2:]), first)
    with pytest.raises(InputError, match="not the states of 2 rows"):
        stream.restore({"state_0": np.zeros((3, 4), "float32")})


def test_a_refused_chunk_leaves_the_stream_where_it_was(folder, x):
    stream = rk.runtime.load(folder).stream(rows=2)
    first = stream.push(x[:, :2])
    with pytest.raises(InputError):
        stream.push(x[:, :2, :1])
    with pytest.raises(InputError, match="The stream has 2 rows. Received: 1 in the input 'x'"):
        stream.push(x[:1])
    stream.reset()
    np.testing.assert_array_equal(stream.push(x[:, :2]), first)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            np.zeros((0, 4, 3), "float32"),
            r"must have the shape \[batch, time, 3\], none of it empty. Received: \[0, 4, 3\]",
        ),
        (np.zeros((2, 0, 3), "float32"), r"Received: \[2, 0, 3\]"),
        (np.zeros((2, 4, 5), "float32"), r"Received: \[2, 4, 5\]"),
        (np.zeros((4, 3), "float32"), r"Received: \[4, 3\]"),
        ([["a"]], "must be an array of float32. Received: one of <U1"),
        ([[1.0], [2.0, 3.0]], r"Received: \[1, 1\]"),
        ({"y": np.zeros((2, 4, 3))}, "has no input 'y'. It takes 'x'"),
        ({}, "needs 'x' too"),
    ],
)
def test_bad_input_gets_a_sentence(folder, given, sentence):
    with pytest.raises(InputError, match=sentence):
        rk.runtime.load(folder).predict(given)


def test_tokens_must_be_whole_numbers_that_fit(tmp_path):
    rk.export_onnx(
        sequential(L.Embedding(5, 2), L.GRU(2, name="y"), shape=(None,), dtype="int32"), tmp_path / "model.onnx"
    )
    graph = Graph(tmp_path / "model.onnx")
    with pytest.raises(InputError, match="must be an array of int32. Received: one of float64"):
        graph.run({"x": [[0.5, 1.0]]})
    with pytest.raises(InputError, match="Received: 4294967297, which int32 cannot hold"):
        graph.run({"x": np.array([[2**32 + 1]])})
    assert graph.run({"x": [[1, 2]]})["y"].shape == (1, 2)


def test_a_folder_without_a_bundle(tmp_path):
    with pytest.raises(BundleError, match="it has no manifest.json"):
        rk.runtime.load(tmp_path)


def test_a_changed_file_is_refused(copy):
    with (copy / "step.onnx").open("r+b") as file:
        file.seek(100)
        file.write(b"X")
    with pytest.raises(BundleError, match="'step.onnx' .* is not the one that was written"):
        rk.runtime.load(copy)


def test_a_missing_file_is_refused(copy):
    (copy / "step.onnx").unlink()
    with pytest.raises(BundleError, match="lacks its file 'step.onnx'"):
        rk.runtime.load(copy)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1, "files": {"a": 1}, "graphs": {}}'])
def test_something_else_called_manifest(copy, text):
    (copy / "manifest.json").write_text(text)
    with pytest.raises(BundleError, match="is not the manifest of a bundle"):
        rk.runtime.load(copy)


def test_a_manifest_of_a_later_version(copy):
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, "format": 2}))
    with pytest.raises(BundleError, match="has format 2; this keras_rnnkit reads format 1"):
        rk.runtime.load(copy)


def test_a_manifest_that_names_files_elsewhere(copy):
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["files"]["../secret"] = {"sha256": "0" * 64, "size": 0}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="lies outside of the bundle"):
        rk.runtime.load(copy)


def test_not_an_onnx_file(tmp_path):
    (tmp_path / "model.onnx").write_text("hello")
    with pytest.raises(BundleError, match="is not an ONNX file"):
        Graph(tmp_path / "model.onnx")


def test_quantized_graphs_that_are_not_there(folder):
    with pytest.raises(BundleError, match="has no int8 graphs. Export it with quantize='int8'"):
        rk.runtime.load(folder, quantized="int8")


def test_rows_of_different_lengths_are_what_they_are_alone(folder, x):
    bundle = rk.runtime.load(folder)
    rows = [x[0], x[1, :4], x[0, 2:], x[1]]
    found = bundle.predict(rows)
    assert [len(y) for y in found] == [6, 4, 4, 6]
    for row, y in zip(rows, found, strict=True):
        np.testing.assert_allclose(y, bundle.predict(row[None])[0], atol=1e-6)
    with pytest.raises(InputError, match="Every sequence must have one step or more"):
        bundle.predict([x[0], x[1, :0]])


def onnx_file(path, domain="", external=False):
    import onnx
    from onnx import TensorProto, helper

    weight = helper.make_tensor("w", TensorProto.FLOAT, [2], np.ones(2, "float32").tobytes(), raw=True)
    if external:
        weight.ClearField("raw_data")
        weight.data_location = TensorProto.EXTERNAL
        weight.external_data.add(key="location", value="../secret")
    node = helper.make_node("Add", ["x", "w"], ["y"], domain=domain)
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy"]
    inner = helper.make_graph([node], "g", value[:1], value[1:], [weight])
    model = helper.make_model(inner, opset_imports=[helper.make_opsetid(d, 18) for d in {"", domain}], ir_version=9)
    onnx.save_model(model, path)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"external": True}, "keeps numbers in other files"),
        ({"domain": "org.elsewhere"}, "uses operators of 'org.elsewhere', which onnxruntime does not ship"),
    ],
)
def test_graphs_that_reach_outside_are_refused(tmp_path, settings, sentence):
    onnx_file(tmp_path / "good.onnx")
    np.testing.assert_array_equal(Graph(tmp_path / "good.onnx").run({"x": [1.0, 2.0]})["y"], [2.0, 3.0])
    onnx_file(tmp_path / "bad.onnx", **settings)
    with pytest.raises(BundleError, match=sentence):
        Graph(tmp_path / "bad.onnx")
    (tmp_path / "noise.onnx").write_bytes(b"\xff" * 40)
    with pytest.raises(BundleError, match="is not an ONNX file"):
        Graph(tmp_path / "noise.onnx")


def test_a_text_is_a_prompt_where_there_is_a_vocabulary(folder, tmp_path):
    vocabulary = rk.text.Vocabulary.of("to be or not")
    tokens = keras.Input((None,), dtype="int32")
    y = L.Dense(len(vocabulary))(rk.LSTM(4, return_sequences=True)(L.Embedding(len(vocabulary), 3)(tokens)))
    rk.export_bundle(
        keras.Model(tokens, y), tmp_path / "w", modes=["stream", "generate"], vocabulary=vocabulary, saved_model=False
    )
    bundle = rk.runtime.load(tmp_path / "w")
    by_text, by_numbers = (bundle.generate(p, steps=6, seed=1) for p in ("to be", vocabulary.encode("to be")))
    assert by_text.tokens.tolist() == by_numbers.tokens.tolist()
    assert bundle.text(by_text) == vocabulary.decode(by_text.tokens[0])
    with pytest.raises(InputError, match="has no vocabulary"):
        rk.runtime.load(folder).generate("to be")

"""Functions of the runtime that need no exported model."""

import inspect
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from onnx import TensorProto, helper

import keras_rnnkit as rk
from keras_rnnkit.decoding import Beam, Greedy
from keras_rnnkit.runtime import BundleError, InputError
from keras_rnnkit.runtime.bundle_files import is_appearing, is_unfinished
from keras_rnnkit.runtime.generation import lengths_feed
from keras_rnnkit.runtime.inspection import surveyed
from keras_rnnkit.runtime.ragged import ragged, together
from keras_rnnkit.runtime.schema import SchemaError, number
from keras_rnnkit.runtime.token_counts import scalar
from keras_rnnkit.runtime.translation import by_steps


def test_names_of_unfinished_exports():
    names = {".words.0a1b2c3f.rnnkit-part": True, ".words.0a1b2c3g.rnnkit-part": False}
    names |= {".words.0a1b2c3.rnnkit-part": False, ".other.0a1b2c3f.rnnkit-part": False, "words": False}
    assert {name: is_unfinished(name, "words") for name in names} == names


def test_a_folder_appears_where_another_process_writes_it(tmp_path):
    folder = tmp_path / "words"
    assert not is_appearing(folder)
    assert not is_appearing(tmp_path / "nowhere" / "words")
    part = tmp_path / ".words.0a1b2c3f.rnnkit-part"
    part.mkdir()
    assert is_appearing(folder)
    part.rename(folder)
    assert is_appearing(folder)


def test_what_is_ragged():
    assert ragged([[1], [1, 2]]) and ragged(([1], [1, 2]))
    assert not any(map(ragged, ([], [[1]], [[1], [2]], [1, 2], [[1], 2], "ab", np.zeros((2, 3)))))


def test_results_of_one_shape_are_one_array():
    same, different = [np.zeros(2), np.ones(2)], [np.zeros(2), np.ones(3)]
    np.testing.assert_array_equal(together(same), [[0, 0], [1, 1]])
    assert isinstance(together(same), np.ndarray)
    assert together(different) is different


@pytest.mark.parametrize("value", ["1", True, None, float("nan"), float("inf"), -float("inf"), 1e300, 10**301])
def test_what_is_no_number(value):
    with pytest.raises(SchemaError, match="error must be a finite number"):
        number(value, "error")
    number(-1e299, "error")
    number(3, "error")


def test_token_loops_take_a_hundred_steps_by_default():
    for method in (rk.runtime.Bundle.generate, rk.runtime.Bundle.tokens, rk.runtime.Bundle.translate):
        assert inspect.signature(method).parameters["steps"].default == 100


def test_lengths_are_passed_on_where_they_differ():
    tokens = np.zeros((2, 3), np.int64)
    one_length, any_length = (
        SimpleNamespace(facts=facts, path=Path("generate.onnx")) for facts in ({}, {"prompt_lengths": "lengths"})
    )
    for graph in (one_length, any_length):
        assert lengths_feed(graph, tokens, np.array([3, 3])) == {}
    lengths = np.array([3, 2])
    assert lengths_feed(any_length, tokens, lengths) == {"lengths": lengths}
    with pytest.raises(InputError, match=r"takes prompts of one length only. Received: lengths \[3, 2\]"):
        lengths_feed(one_length, tokens, lengths)


@pytest.mark.parametrize(
    ("kind", "shape", "values", "expected"),
    [
        (TensorProto.INT64, [1], [5], 5),
        (TensorProto.INT32, [1], [300], 300),
        (TensorProto.INT64, [], [7], 7),
        (TensorProto.INT64, [1, 1], [5], 5),
        (TensorProto.FLOAT, [1], [0.0], 0),
        (TensorProto.INT64, [2], [5, 6], None),
    ],
)
@pytest.mark.parametrize("raw", [False, True])
def test_the_number_in_a_tensor(kind, shape, values, expected, raw):
    content = np.array(values, helper.tensor_dtype_to_np_dtype(kind)).tobytes() if raw else values
    tensor = helper.make_tensor("x", kind, shape, content, raw=raw)
    assert scalar(memoryview(tensor.SerializeToString())) == expected


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE])
@pytest.mark.parametrize("value", [1.5, 6 * 2.0**-24])
def test_the_bytes_of_a_real_number_are_no_whole_number(kind, raw, value):
    """The smallest numbers of half precision have the bytes of small whole numbers: the second value those of 6."""
    content = np.array([value], helper.tensor_dtype_to_np_dtype(kind)).tobytes() if raw else [value]
    assert scalar(memoryview(helper.make_tensor("x", kind, [1], content, raw=raw).SerializeToString())) is None


@pytest.mark.parametrize("strategy", [Greedy(), Beam(2)], ids=["greedy", "beam"])
def test_a_step_without_attention_gives_none(strategy):
    encoder = SimpleNamespace(run=lambda feeds: {"state_0": np.zeros((1, 1), np.float32)})
    logits = np.float32([[0.0, 0.0, 5.0, 1.0]])

    def run(feeds):
        return {"logits": logits.repeat(len(feeds["token"]), axis=0), "next_state_0": feeds["state_0"] + 1}

    step = SimpleNamespace(run=run, states=[{"input": "state_0", "output": "next_state_0"}])
    aligned = by_steps(encoder, step, np.ones((1, 2)), strategy, 3, 0, {"begin": 0, "end": 3})
    assert aligned.attention.shape[-1] == 0
    assert aligned.tokens.reshape(-1, 3)[0].tolist() == [2, 2, 2]


def external_tensor(name="w"):
    tensor = helper.make_tensor(name, TensorProto.FLOAT, [1], b"\0" * 4, raw=True)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret")
    return tensor


def graph_with(initializers=(), sparse=(), nodes=()):
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    nodes = [*nodes, helper.make_node("Identity", ["x"], ["y"])]
    return helper.make_graph(nodes, "g", value[:1], value[1:], initializers, sparse_initializer=sparse)


INSIDE = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
INDICES = helper.make_tensor("i", TensorProto.INT64, [1], [0])
EXTERNAL = {
    "initializer": lambda: graph_with([external_tensor()]),
    "values of a sparse initializer": lambda: graph_with(
        sparse=[helper.make_sparse_tensor(external_tensor(), INDICES, [3])]
    ),
    "indices of a sparse initializer": lambda: graph_with(
        sparse=[helper.make_sparse_tensor(INSIDE, external_tensor("i"), [3])]
    ),
    "constant": lambda: graph_with(nodes=[helper.make_node("Constant", [], ["c"], value=external_tensor())]),
    "branch": lambda: graph_with(
        nodes=[
            helper.make_node("If", ["b"], ["c"], then_branch=graph_with([external_tensor()]), else_branch=graph_with())
        ]
    ),
}


@pytest.mark.parametrize("place", EXTERNAL)
def test_numbers_in_other_files_are_noticed(place):
    model = helper.make_model(EXTERNAL[place]()).SerializeToString()
    assert surveyed(memoryview(model))[1]


def test_numbers_in_the_file_are_no_others():
    branches = {"then_branch": graph_with([INSIDE]), "else_branch": graph_with()}
    nodes = [
        helper.make_node("Constant", [], ["c"], value=INSIDE),
        helper.make_node("If", ["b"], ["d"], **branches),
    ]
    model = helper.make_model(graph_with([INSIDE], [helper.make_sparse_tensor(INSIDE, INDICES, [3])], nodes))
    assert surveyed(memoryview(model.SerializeToString())) == ({""}, False)


def test_a_bundle_without_a_decoder_has_no_sources():
    bundle = object.__new__(rk.runtime.Bundle)
    bundle.manifest, bundle.folder = {}, Path("words")
    with pytest.raises(BundleError, match="The bundle 'words' holds no encoder and decoder"):
        _ = bundle.sources

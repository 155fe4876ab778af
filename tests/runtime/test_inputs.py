"""Whatever is wrong with an input is an InputError, a ValueError of one sentence that says what came and what fits."""

import json
import warnings

import keras
import numpy as np
import onnx
import pytest

import keras_rnnkit as rk
from keras_rnnkit.decoding import Beam, Greedy, Sampling
from keras_rnnkit.runtime import BundleError, Graph, InputError
from tests.export.table import sequential

L = keras.layers
NAN = float("nan")


def refused(call, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        call()
    assert isinstance(caught.value, ValueError)
    return caught.value


@pytest.fixture(scope="module")
def reader(folder):
    return rk.runtime.load(folder)


@pytest.fixture(scope="module")
def writer(words):
    return rk.runtime.load(words)


# Streams


@pytest.mark.parametrize("rows", [1, 3])
def test_a_chunk_with_other_rows_than_the_stream(reader, rows):
    stream = reader.stream(2)
    before = stream.snapshot()
    refused(lambda: stream.push(np.zeros((rows, 4, 3))), f"The stream has 2 rows. Received: {rows} in the input 'x'")
    for name, state in stream.snapshot().items():
        np.testing.assert_array_equal(state, before[name])


@pytest.mark.parametrize("rows", [0, -1, 1.5, "2", None, True, 2**70])
def test_numbers_of_rows_that_are_none(reader, rows):
    refused(lambda: reader.stream(rows), "rows must be a whole number, 1 or more")


@pytest.mark.parametrize("rows", [[2], [-1], [0.5], ["a"], [[0]], 7, [True]])
def test_rows_to_reset_that_are_not_there(reader, rows):
    refused(lambda: reader.stream(2).reset(rows), "rows")


@pytest.mark.parametrize("states", [None, {}, [1], {"state_0": 3}, {"state_0": [["a"] * 4] * 2}, {"state_1": 0}])
def test_states_that_are_not_those_of_the_stream(reader, states):
    refused(lambda: reader.stream(2).restore(states), "states|array of float32")


def test_inputs_by_names_that_the_graph_does_not_have(reader):
    refused(lambda: reader.stream(2, y=np.zeros((2, 3))), "has no input 'y'. It takes 'x'")
    refused(lambda: reader.stream(2, state_0=np.zeros((2, 4))), "has no input 'state_0'. It takes 'x'")
    refused(lambda: reader.stream(2).push({"x": np.zeros((2, 1, 3)), "y": 0}), "A chunk consists of 'x'. Received: 'y'")
    refused(lambda: reader.stream(2).push({"state_0": np.zeros((2, 4))}), "A chunk consists of 'x'")
    refused(lambda: reader.step.run({"x": np.zeros((2, 1, 3))}), "needs 'state_0' too")


def test_rows_of_inputs_that_differ(reader):
    feeds = {"x": np.zeros((3, 1, 3)), "state_0": np.zeros((2, 4))}
    refused(lambda: reader.step.run(feeds), "the same number of rows. Received: {'x': 3, 'state_0': 2}")


# Arrays


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (None, "array of float32. Received: one of object"),
        (1j, "array of float32. Received: one of complex128"),
        (np.array(["2020-01-01"], "M8[D]"), "array of float32"),
        ([[[1e300, 0, 0]]], "Received: 1e[+]300, which float32 cannot hold"),
        ([[[1, 2], [3]]], "array of float32|must have the shape"),
        ([[], [[1.0]]], "one step or more"),
        (True, "array of float32. Received: one of bool"),
    ],
)
def test_arrays_that_do_not_fit(reader, value, sentence):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        refused(lambda: reader.predict(value), sentence)


def test_ragged_inputs_that_do_not_belong_together():
    from keras_rnnkit.runtime.ragged import predict_by_length

    ragged = [np.zeros((2, 3)), np.zeros((1, 3))]
    refused(lambda: predict_by_length(None, {"x": ragged, "y": [0]}), "number of rows. Received: {'x': 2, 'y': 1}")
    refused(lambda: predict_by_length(None, {"x": ragged, "y": 5}), "number of rows")
    rows = [np.zeros((2, 3)), np.zeros((1, 3)), np.zeros((2, 4))]
    refused(lambda: predict_by_length(lambda feeds: feeds["x"], {"x": rows}), "do not fit together")


@pytest.mark.parametrize("kind", ["uint16", "uint8", "int16", "uint32", "int64"])
def test_every_dtype_that_exports_loads(tmp_path, kind):
    rk.export_onnx(sequential(L.Embedding(5, 2), L.GRU(2, name="y"), shape=(None,), dtype=kind), tmp_path / "m.onnx")
    graph = Graph(tmp_path / "m.onnx")
    assert graph.kinds == {"x": kind} and graph.token_counts == {"x": 5}
    assert graph.run({"x": [[1, 4]]})["y"].shape == (1, 2)
    for token in (5, -1, 2**40):
        refused(lambda token=token: graph.run({"x": [[1, token]]}), "The tokens of the input 'x' must be|cannot hold")


def test_texts_are_not_for_this_runtime(tmp_path):
    value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.STRING, [2]) for name in "xy"]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "g", value[:1], value[1:])
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9), tmp_path / "t"
    )
    with pytest.raises(BundleError, match="The input 'x' .* is a tensor[(]string[)]"):
        Graph(tmp_path / "t")


# Tokens


def test_how_many_tokens_there_are_is_read_from_the_graph(writer):
    assert writer.step.token_counts == writer.graph("generate").token_counts == {"letters": len(writer.vocabulary)}


@pytest.mark.parametrize("token", [-1, 7, 10**6])
def test_tokens_out_of_range(writer, token):
    """onnxruntime itself takes -1 for the last token."""
    assert len(writer.vocabulary) == 7
    sentence = f"tokens of the input 'letters' must be 0 to 6. Received: .*{token}"
    refused(lambda: writer.generate([1, token]), sentence)
    refused(lambda: writer.generate([1, token], strategy=Greedy()), sentence)
    refused(lambda: writer.generate([[1, 2, 3], [token]], strategy=Greedy()), sentence)
    refused(lambda: writer.tokens([1, token]), sentence)
    refused(lambda: writer.stream().push([[token]]), sentence)
    refused(lambda: writer.text([1, token]), "Tokens must be 0 to 6")


PROMPTS = [
    [],
    "",
    [[]],
    [[1], []],
    [1.5],
    [[1, 2], [1.5]],
    [[[1]]],
    [[1], 2],
    ["to", 3],
    [None],
    None,
    {},
    {"letters": [1]},
    5,
    [True, False],
    np.zeros((0, 3), int),
    np.zeros((2, 0), int),
    np.zeros((1, 2, 3), int),
    np.array(["a"]),
    "xyz",
    [2**63],
]


@pytest.mark.parametrize("prompt", PROMPTS, ids=repr)
@pytest.mark.parametrize("how", ["graph", "steps", "tokens"])
def test_prompts_that_are_none(writer, prompt, how):
    calls = {
        "graph": lambda: writer.generate(prompt, 3),
        "steps": lambda: writer.generate(prompt, 3, Greedy()),
        "tokens": lambda: writer.tokens(prompt, 3, Greedy()),
    }
    refused(calls[how], ".")


NONE_OF_THEM = [0, -1, 1.5, NAN, "3", None, True, 2**70]


@pytest.mark.parametrize("steps", NONE_OF_THEM)
def test_steps_that_are_none(writer, steps):
    for call in (
        lambda: writer.generate([1], steps),
        lambda: writer.generate([1], steps, Greedy()),
        lambda: writer.tokens([1], steps),
    ):
        refused(call, "steps must be a whole number, 1 or more")


@pytest.mark.parametrize("seed", [value for value in NONE_OF_THEM if value != 0])
def test_seeds_that_are_none(writer, seed):
    for call in (
        lambda: writer.generate([1], 3, seed=seed),
        lambda: writer.generate([1], 3, Greedy(), seed=seed),
        lambda: writer.tokens([1], 3, seed=seed),
    ):
        refused(call, "seed must be a whole number, 0 or more")


def test_more_steps_than_there_is_memory_for(writer):
    refused(lambda: writer.generate([1], 2**50), "does not fit into memory")


@pytest.mark.parametrize("value", [NAN, -1.0, 0, float("inf"), "hot", True, np.float32(NAN), np.array([1.0, NAN])])
def test_temperatures_that_are_none(writer, value):
    refused(lambda: writer.generate([1], 3, temperature=value), "temperature must be")
    with pytest.raises(ValueError, match="temperature must be"):
        Sampling(value)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"top_k": -1}, "top_k must be"),
        ({"top_k": 1.5}, "top_k must be"),
        ({"top_k": np.float64(NAN)}, "top_k must be"),
        ({"top_p": NAN}, "top_p must be"),
        ({"top_p": 1.1}, "top_p must be"),
        ({"end": 3}, "ends a row at the token 0, and that cannot be changed. Received: end=3"),
        ({"width": 3}, "has no input 'width'"),
        ({"strategy": Greedy(), "temperature": 0.5}, "temperature is an option of the exported strategy"),
        (
            {"strategy": Sampling(), "top_k": 5},
            "top_k is an option of the exported strategy. Received: strategy=Sampling",
        ),
        ({"strategy": Greedy(), "end": 7}, "end must be one of the 7 tokens"),
        ({"strategy": Greedy(), "end": 1.0}, "end must be one of the 7 tokens"),
        ({"strategy": Greedy(), "picture": 1}, "has no input 'picture'"),
    ],
)
def test_options_that_cannot_be(writer, options, sentence):
    refused(lambda: writer.generate([1], 3, **options), sentence)


@pytest.mark.parametrize("width", [0, NAN, "3", 2.5, None])
def test_beams_that_cannot_be(width):
    with pytest.raises(ValueError, match="width must be a number of hypotheses"):
        Beam(width)


def test_a_model_that_reads_no_tokens(reader):
    refused(lambda: reader.generate([1], 3, Greedy()), "must go from one input of tokens")


def test_prompts_in_every_form_mean_the_same(writer):
    ids = writer.vocabulary.encode("to be").tolist()
    texts = ["to be", ids, [ids], np.array(ids), np.array([ids]), ["to be"], tuple(ids), [np.array(ids)]]
    first, *others = (writer.generate(prompt, steps=5, seed=1).tokens.tolist() for prompt in texts)
    assert all(other == first for other in others)
    both = writer.generate(["to be", "or"], steps=5, seed=1)
    assert both.tokens.shape[0] == 2 and both.tokens[0, : len(first[0])].tolist() == first[0]


# What the file says of itself


def described(words, tmp_path, **facts):
    """The graph of a step with other metadata."""
    model = onnx.load(words / "step.onnx")
    known = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, known | {f"keras_rnnkit.{key}": value for key, value in facts.items()})
    onnx.save(model, tmp_path / "step.onnx")
    return tmp_path / "step.onnx"


STATE = {"input": "state_0", "output": "next_state_0", "shape": [4], "dtype": "float32", "start": 0}


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"states": "{"}, "cannot be used: they are not JSON"),
        ({"states": "[" * 100_000}, "cannot be used"),
        ({"states": "5"}, "metadata.states must be a list"),
        ({"states": "[5]"}, "must be an object"),
        ({"states": json.dumps([STATE | {"dtype": "object"}])}, "dtype must be one of"),
        ({"states": json.dumps([STATE | {"shape": [5]}])}, "name a state 'state_0' of shape .5., which the graph"),
        ({"states": json.dumps([STATE | {"input": "state_7"}])}, "name a state 'state_7'"),
        ({"states": json.dumps([STATE | {"output": "next_state_7"}])}, "name a state 'state_0'"),
        ({"states": json.dumps([STATE | {"start": [1, 2, 3]}])}, "give a state a start of the wrong shape"),
        ({"states": json.dumps([STATE | {"start": "zero"}])}, "give a state a start of the wrong shape"),
        ({"mode": "7"}, "metadata.mode must be a text"),
    ],
)
def test_metadata_that_are_wrong(words, tmp_path, facts, sentence):
    with pytest.raises(BundleError, match=sentence):
        Graph(described(words, tmp_path, **facts))


def test_damaged_files_are_refused_or_run(words, tmp_path):
    """No damage ends the process, or is anything but a BundleError."""
    content, rng = (words / "step.onnx").read_bytes(), np.random.default_rng(0)
    for _ in range(150):
        broken = bytearray(content[: rng.integers(len(content))] if rng.random() < 0.2 else content)
        for place in rng.integers(0, max(len(broken), 1), size=3):
            if len(broken):
                broken[place] = rng.integers(256)
        (tmp_path / "step.onnx").write_bytes(broken)
        try:
            Graph(tmp_path / "step.onnx")
        except BundleError as error:
            assert str(tmp_path) in str(error)


@pytest.mark.parametrize(
    ("arithmetic", "count"),
    [
        (lambda x: x, 6),
        (lambda x: x + 1, None),
        (lambda x: x % 6, None),
        (lambda x: keras.ops.maximum(x, 0), None),
        (lambda x: x[:, ::-1], 6),
    ],
    ids=["as it is", "plus one", "modulo", "clipped", "reversed"],
)
def test_a_table_bounds_only_what_is_looked_up_in_it_as_it_is(tmp_path, arithmetic, count):
    tokens = keras.Input((None,), dtype="int32", name="x")
    y = L.GRU(2)(L.Embedding(6, 2)(L.Lambda(arithmetic)(tokens)))
    rk.export_onnx(keras.Model(tokens, y), tmp_path / "m.onnx")
    assert Graph(tmp_path / "m.onnx").token_counts == ({} if count is None else {"x": count})

"""One strategy, three readings: NumPy, Keras and an ONNX graph take the same tokens from the same noise."""

import keras
import numpy as np
import pytest

import keras_rnnkit.ops.keras as kops
import keras_rnnkit.ops.numpy as nops
import keras_rnnkit.ops.onnx as oops
from keras_rnnkit import decoding
from keras_rnnkit.decoding import Beam, Sampling, Strategy, noise
from keras_rnnkit.decoding.beam import Hypotheses
from keras_rnnkit.decoding.strategy import Picked
from tests.decoding.table import END, STRATEGIES, B, Toy, V
from tests.ops.test_onnx_reading import evaluated


def test_every_strategy_is_in_the_table():
    public = {getattr(decoding, name) for name in decoding.__all__}
    kinds = {value for value in public if isinstance(value, type) and issubclass(value, Strategy)} - {Strategy}
    assert kinds <= {type(strategy) for strategy in STRATEGIES.values()}


@pytest.mark.parametrize("end", [END, None])
@pytest.mark.parametrize("name", STRATEGIES)
def test_keras_generates_what_numpy_generates(name, end):
    a, b = (Toy(ops).run(STRATEGIES[name], end=end) for ops in (nops, kops))
    np.testing.assert_array_equal(a.tokens, keras.ops.convert_to_numpy(b.tokens))
    np.testing.assert_array_equal(a.lengths, keras.ops.convert_to_numpy(b.lengths))
    np.testing.assert_allclose(a.scores, keras.ops.convert_to_numpy(b.scores), atol=1e-4)


def halfway(strategy, rng):
    """What a strategy may carry in the middle of a text, with some rows finished, and the next scores and noise."""
    rows, shape = B * strategy.rows, (B, strategy.rows) if isinstance(strategy, Beam) else (B,)
    finished = (np.arange(rows) % 3 == 1).astype("float32").reshape(shape)
    carry = [rng.integers(V, size=rows), -9 * rng.random(shape, "float32"), rng.integers(1, 9, shape), finished]
    kind = Picked
    if isinstance(strategy, Beam):
        carry, kind = [*carry, np.eye(strategy.rows, dtype="float32")[rng.integers(strategy.rows, size=B)]], Hypotheses
    return kind(*carry), rng.normal(size=(rows, V)).astype("float32") * 2, noise(3, B, 1)[:, 0]


def flat(pair):
    carry, rows = pair
    return [*carry, *([] if rows is None else [rows])]


@pytest.mark.parametrize("end", [END, None])
@pytest.mark.parametrize("name", STRATEGIES)
def test_a_graph_advances_as_numpy_does(name, end, rng):
    strategy = STRATEGIES[name]
    carry, logits, drawn = halfway(strategy, rng)
    expected = flat(strategy.advance(nops, carry, logits, drawn, end))

    def write(logits, drawn, *values):
        return flat(strategy.advance(oops, type(carry)(*values), logits, drawn, end))

    found, values = evaluated(write, [logits, drawn, *carry])
    for a, b, value in zip(expected, found, values, strict=True):
        np.testing.assert_allclose(b, a, atol=1e-5)
        assert b.dtype == a.dtype and len(value.shape) == a.ndim
    for before, after in zip(carry, found, strict=False):
        assert before.dtype == after.dtype and before.shape == after.shape  # what a Loop carries keeps its kind


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_graph_begins_and_ends_as_numpy_does(name, rng):
    strategy = STRATEGIES[name]
    carry, logits, _ = halfway(strategy, rng)
    tokens = rng.integers(V, size=(B * strategy.rows, 5))

    def both(ops, logits, tokens, *values):
        return [*strategy.begin(ops, logits), *strategy.result(ops, type(carry)(*values), tokens)]

    graph = lambda *values: [x + 0 for x in both(oops, *values)]  # noqa: E731  an output may not be an input
    found, _ = evaluated(graph, [logits, tokens, *carry])
    for a, b in zip(both(nops, logits, tokens, *carry), found, strict=True):
        np.testing.assert_allclose(b, a, atol=1e-5)
        assert b.dtype == a.dtype


NUMBERS = [(1.0, 0, 1.0), (0.7, 3, 1.0), (1.3, 0, 0.6), (0.9, 4, 0.8), (2.0, 99, 1.0), (1.0, 1, 0.5)]
"""Temperature, top-k and top-p."""


@pytest.mark.parametrize("numbers", NUMBERS)
def test_numbers_that_are_inputs_of_a_graph(numbers, rng):
    """They draw what the same numbers draw when they are known, those that keep all tokens included."""
    logits, drawn = rng.normal(size=(500, V)).astype("float32") * 1.5, noise(2, 500, 1)[:, 0]
    expected = Sampling(*numbers).pick(nops, logits, drawn)
    arrays = [np.array(x, kind) for x, kind in zip(numbers, ("float32", "int64", "float32"), strict=True)]
    write = lambda logits, drawn, *given: Sampling(*given).pick(oops, logits, drawn)  # noqa: E731
    (found,), _ = evaluated(write, [logits, drawn, *arrays])
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(Sampling(*arrays).pick(nops, logits, drawn), expected)


@pytest.mark.parametrize(("arguments", "sorts"), [({}, 0), ({"top_k": 0, "top_p": 1.0}, 0), ({"top_k": 3}, 1)])
def test_a_graph_sorts_only_where_it_must(arguments, sorts, rng):
    logits, drawn = rng.normal(size=(2, V)).astype("float32"), noise(2, 2, 1)[:, 0]
    write = lambda logits, drawn: Sampling(**arguments).pick(oops, logits, drawn)  # noqa: E731
    _, (value,) = evaluated(write, [logits, drawn])
    assert sum(node.op_type == "TopK" for node in value.graph.nodes) == sorts


@pytest.mark.parametrize("name", STRATEGIES)
def test_half_precision_is_scored_in_single(name, rng):
    carry, logits, drawn = halfway(STRATEGIES[name], rng)
    half = logits.astype("float16")
    a = STRATEGIES[name].advance(nops, carry, half, drawn, END)
    b = STRATEGIES[name].advance(nops, carry, half.astype("float32"), drawn, END)
    for x, y in zip(flat(a), flat(b), strict=True):
        np.testing.assert_array_equal(x, y)
        assert x.dtype == y.dtype
    assert STRATEGIES[name].begin(nops, half).score.dtype == np.float32

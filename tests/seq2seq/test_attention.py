"""Attention against its equation in NumPy, with masks."""

import keras
import numpy as np
import pytest

import keras_rnnkit as rk
import keras_rnnkit.ops.numpy as nops
from tests.seq2seq.table import ATTENTIONS, shake

KINDS = [name for name in ATTENTIONS if name != "none"]


def example(name, rng):
    """(layer, query, values, valid), the weights random."""
    layer = ATTENTIONS[name]()
    query, values = (rng.normal(size=(3, steps, 8)).astype("float32") for steps in (2, 5))
    layer(query, values)
    shake(layer, 3)
    return layer, query, values, VALID


VALID = np.array([[1, 1, 1, 1, 1], [1, 0, 1, 0, 0], [0, 0, 0, 0, 0]], "float32")


def by_hand(layer, query, values, valid):
    """Step by step, from the papers."""
    context, weights = np.zeros((3, 2, 8)), np.zeros((3, 2, 5))
    for b in range(3):
        for t in range(2):
            e = np.array([score_by_hand(layer, query[b, t], values[b, s]) for s in range(5)])
            e = np.exp(e) * valid[b]
            weights[b, t] = e / e.sum() if e.sum() else 0.0
            context[b, t] = sum(weights[b, t, s] * values[b, s] for s in range(5))
    return context, weights


def score_by_hand(layer, q, m):
    w = {v.name: np.asarray(keras.ops.convert_to_numpy(v)) for v in layer.weights}
    if isinstance(layer, rk.attention.Additive):
        return float(w["v"][:, 0] @ np.tanh(q @ w["query_kernel"] + m @ w["memory_kernel"]))
    score = q @ m if isinstance(layer, rk.attention.Dot) else q @ (m @ w["kernel"])
    return float(score) / (np.sqrt(len(q)) if layer.scaled else 1.0)


@pytest.mark.parametrize("name", KINDS)
def test_attention_is_what_its_equation_says(name, rng):
    layer, query, values, valid = example(name, rng)
    context, weights = (keras.ops.convert_to_numpy(x) for x in layer(query, values, valid=valid))
    expected = by_hand(layer, query, values, valid)
    np.testing.assert_allclose(context, expected[0], atol=1e-5)
    np.testing.assert_allclose(weights, expected[1], atol=1e-5)
    assert not weights[2].any() and not context[2].any()  # nothing to look at


def test_a_batch_without_rows(rng):
    layer, query, values, valid = example(KINDS[0], rng)
    context, weights = layer(query[:0], values[:0], valid=valid[:0])
    assert context.shape == (0, 2, 8) and weights.shape == (0, 2, 5)


@pytest.mark.parametrize("name", KINDS)
def test_numpy_reads_it_as_keras_does(name, rng):
    layer, query, values, valid = example(name, rng)
    w = rk.cells.base.Weights(layer, lambda v: np.asarray(keras.ops.convert_to_numpy(v)))
    by_numpy = layer.attend(nops, w, query, values, layer.remember(nops, w, values), valid)
    for a, b in zip(layer(query, values, valid=valid), by_numpy, strict=True):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(a), b, atol=1e-5)


@pytest.mark.parametrize("name", KINDS)
def test_padding_changes_nothing(name, rng):
    layer, query, values, _ = example(name, rng)
    longer = np.concatenate([values, rng.normal(size=(3, 4, 8)).astype("float32") * 50], axis=1)
    valid = np.concatenate([np.ones((3, 5)), np.zeros((3, 4))], axis=1)
    (a, _), (b, weights) = layer(query, values), layer(query, longer, valid=valid)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(a), keras.ops.convert_to_numpy(b), atol=1e-5)
    assert not keras.ops.convert_to_numpy(weights)[..., 5:].any()


def test_dot_wants_equal_widths():
    with pytest.raises(ValueError, match="queries of 6, values of 8. Use General"):
        rk.attention.Dot()(np.ones((2, 3, 6), "float32"), np.ones((2, 5, 8), "float32"))


class Given(rk.attention.Attention):
    """Attention whose scores are the values' first number, for scores of any size."""

    def remember(self, ops, w, values):
        return values[..., 0]

    def score(self, ops, w, query, keys):
        return query[..., :1] * keys[:, None]


def softmax(scores):
    e = np.exp(scores - scores.max())
    return e / e.sum()


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("level", [-4e4, -60000.0, 0.0, 4e4])
def test_scores_of_any_level_give_the_weights_of_their_differences(level, dtype):
    """Padded steps must not set the level: a score of -4e4 is as good as any other."""
    scores = np.array([[0.0, 1.0, 2.0, -1.0, 0.5]] * 3) * (1024 if level else 1) + level
    scores = keras.ops.cast(scores, dtype)
    exact = keras.ops.convert_to_numpy(keras.ops.cast(scores, "float32"))
    query, values = keras.ops.ones((3, 1, 1), dtype), keras.ops.stack([scores, scores * 0 + 1], axis=-1)
    context, weights = (
        keras.ops.convert_to_numpy(keras.ops.cast(y, "float32")) for y in Given(dtype=dtype)(query, values, valid=VALID)
    )
    tolerance = {"float32": 1e-6, "float16": 1e-3, "bfloat16": 1e-2}[dtype]
    for row in (0, 1):
        valid = VALID[row] > 0
        np.testing.assert_allclose(weights[row, 0, valid], softmax(exact[row, valid]), atol=tolerance)
        assert not weights[row, 0, ~valid].any()
        np.testing.assert_allclose(context[row, 0, 1], 1.0, atol=2 * tolerance)
    assert not weights[2].any() and not context[2].any()


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("name", KINDS)
def test_low_scores_of_each_kind(name, dtype, rng):
    """Queries and values that point away from each other, by weights that make every score about -4e4."""
    layer = ATTENTIONS[name]()
    layer.dtype_policy = dtype
    sign, size = (-1.0, 1.0) if name == "additive" else (1.0, 70.0 * (8**0.25 if "scaled" in name else 1))
    query, values = np.full((3, 2, 8), size), -sign * size + rng.normal(size=(3, 5, 8)) * 0.01 * size
    layer(query.astype(dtype), values.astype(dtype))
    for weight in layer.weights:
        identity = np.eye(*weight.shape)
        weight.assign(np.full(weight.shape, -4e4 / weight.shape[0]) if weight.name == "v" else identity)
    context, weights = layer(query.astype(dtype), values.astype(dtype), valid=VALID)
    np.testing.assert_allclose(np.asarray(weights).sum(axis=-1)[:2], 1.0, atol=2e-3)
    assert np.isfinite(np.asarray(context)).all() and not np.asarray(weights)[2].any()


def test_a_product_that_overflows_half_precision_takes_all_the_weight():
    query, values = np.full((1, 1, 1), 3e4, "float16"), np.array([[[4.0], [1.0], [5.0]]], "float16")
    context, weights = rk.attention.Dot(dtype="float16")(query, values)
    np.testing.assert_array_equal(np.asarray(weights)[0, 0], [0.5, 0.0, 0.5])
    np.testing.assert_array_equal(np.asarray(context)[0, 0], [4.5])


def test_the_gradient_of_a_padded_source_is_finite(rng):
    tf = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("takes gradients with TensorFlow")
    query, values = (tf.constant(rng.normal(size=(3, n, 8)).astype("float32") * 100) for n in (2, 5))
    with tf.GradientTape() as tape:
        tape.watch([query, values])
        context, _ = rk.attention.Dot()(query, values, valid=VALID)
        total = tf.reduce_sum(context)
    d_query, d_values = tape.gradient(total, [query, values])
    assert np.isfinite(d_query).all() and np.isfinite(d_values).all()
    assert not d_query.numpy()[2].any() and not d_values.numpy()[VALID == 0].any()


def test_the_matrices_of_additive_attention_start_differently():
    layer = rk.attention.Additive(6)
    layer.build((None, None, 8), (None, None, 8))
    query_kernel, memory_kernel = (np.asarray(w) for w in (layer.query_kernel, layer.memory_kernel))
    assert np.abs(query_kernel - memory_kernel).max() > 0.1


X = np.ones((2, 5, 8), "float32")

REFUSED = {
    "units": (lambda: rk.attention.Additive(0), r"Additive: `units` must be a positive integer"),
    "initializer": (
        lambda: rk.attention.General(kernel_initializer="glorot"),
        r"`kernel_initializer` must name",
    ),
    "rank": (lambda: rk.attention.Dot()(X[:, 0], X), r"queries \[batch.*queries of shape \(2, 8\).*x\[:, None\]"),
    "valid": (
        lambda: rk.attention.Dot()(X, X, valid=X[:, :4, 0]),
        r"shape \(2, 5\).*of shape \(2, 4\)",
    ),
    "no score": (lambda: rk.attention.Attention()(X, X), r"Attention must define remember\(self, ops, w, values\)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_input_that_attention_cannot_take_gets_a_sentence(name):
    provoke, sentence = REFUSED[name]
    with pytest.raises((ValueError, NotImplementedError), match=f"(?s){sentence}"):
        provoke()

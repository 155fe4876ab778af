"""Attention against its equation in NumPy, with masks."""

import keras
import numpy as np
import pytest

import keras_rnnkit as rk
import keras_rnnkit.ops.numpy as nops
from tests.seq2seq.table import ATTENTIONS, shake

KINDS = [name for name in ATTENTIONS if name != "none"]


def made(name, rng):
    """(layer, query, values, valid), the weights random."""
    layer = ATTENTIONS[name]()
    query, values = (rng.normal(size=(3, steps, 8)).astype("float32") for steps in (2, 5))
    valid = np.array([[1, 1, 1, 1, 1], [1, 0, 1, 0, 0], [0, 0, 0, 0, 0]], "float32")
    layer(query, values)
    shake(layer, 3)
    return layer, query, values, valid


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
    layer, query, values, valid = made(name, rng)
    context, weights = (keras.ops.convert_to_numpy(x) for x in layer(query, values, valid=valid))
    expected = by_hand(layer, query, values, valid)
    np.testing.assert_allclose(context, expected[0], atol=1e-5)
    np.testing.assert_allclose(weights, expected[1], atol=1e-5)
    assert not weights[2].any() and not context[2].any()  # nothing to look at


@pytest.mark.parametrize("name", KINDS)
def test_numpy_reads_it_as_keras_does(name, rng):
    layer, query, values, valid = made(name, rng)
    w = rk.cells.base.Weights(layer, lambda v: np.asarray(keras.ops.convert_to_numpy(v)))
    found = layer.look(nops, w, query, values, layer.remember(nops, w, values), valid)
    for a, b in zip(layer(query, values, valid=valid), found, strict=True):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(a), b, atol=1e-5)


@pytest.mark.parametrize("name", KINDS)
def test_padding_changes_nothing(name, rng):
    layer, query, values, _ = made(name, rng)
    longer = np.concatenate([values, rng.normal(size=(3, 4, 8)).astype("float32") * 50], axis=1)
    valid = np.concatenate([np.ones((3, 5)), np.zeros((3, 4))], axis=1)
    (a, _), (b, weights) = layer(query, values), layer(query, longer, valid=valid)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(a), keras.ops.convert_to_numpy(b), atol=1e-5)
    assert not keras.ops.convert_to_numpy(weights)[..., 5:].any()


def test_dot_wants_equal_widths():
    with pytest.raises(ValueError, match="queries of 6, values of 8. Use General"):
        rk.attention.Dot()(np.ones((2, 3, 6), "float32"), np.ones((2, 5, 8), "float32"))

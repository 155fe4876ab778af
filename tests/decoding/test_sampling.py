"""Sampling: the distributions it says, the tokens it keeps."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import keras_rnnkit.ops.numpy as nops
from keras_rnnkit.decoding import Greedy, Sampling, noise
from keras_rnnkit.decoding.errors import DecodingError
from tests.decoding.table import V, log_softmax

DRAWS = 20000
LOGITS = np.random.default_rng(8).normal(size=V).astype("float32") * 1.5
ALMOST_ONE = np.nextafter(np.float32(1), np.float32(0))


def brute_force(logits, temperature=1.0, top_k=None, top_p=None):
    """The distribution [V] that is to be drawn from."""
    p = np.exp(log_softmax(logits.astype("float64") / temperature))
    kept = np.argsort(-p, kind="stable")[: top_k or None]
    if top_p is not None:
        share = p[kept] / p[kept].sum()
        kept = kept[: 1 + int(np.sum(np.cumsum(share)[:-1] < top_p))]
    q = np.zeros(len(p))
    q[kept] = p[kept] / p[kept].sum()
    return q


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"temperature": 0.5},
        {"temperature": 2.0},
        {"top_k": 1},
        {"top_k": 3},
        {"top_k": 99},
        {"top_p": 0.05},
        {"top_p": 0.75},
        {"top_p": 0.999},
        {"temperature": 0.7, "top_k": 4, "top_p": 0.8},
    ],
)
def test_sampling_has_the_distribution_it_says(arguments):
    tokens = Sampling(**arguments).pick(nops, np.repeat(LOGITS[None], DRAWS, 0), noise(1, DRAWS, 1)[:, 0])
    expected, found = DRAWS * brute_force(LOGITS, **arguments), np.bincount(tokens, minlength=V)
    kept = expected > 0
    assert (found[~kept] == 0).all()
    assert np.sum((found - expected)[kept] ** 2 / expected[kept]) < 27.9  # 1 of 10,000 with 6 degrees of freedom


@given(
    arrays.arrays(np.float32, 6, elements=st.integers(-4, 4)),
    st.sampled_from([0.3, 1.0, 3.0]),
    st.integers(1, 8),
    st.sampled_from([None, 0.07, 0.31, 0.59, 0.83]),
)
@settings(deadline=None, max_examples=200)
def test_the_tokens_kept_are_those_of_a_sort(logits, temperature, top_k, top_p):
    """With ties in most examples."""
    shares = np.sort(brute_force(logits, temperature, top_k))[::-1]
    assume(top_p is None or np.min(np.abs(np.cumsum(shares) - top_p)) > 1e-5)  # at the edge rounding decides
    expected = brute_force(logits, temperature, top_k, top_p) > 0
    for k in (top_k, np.array(top_k)):
        np.testing.assert_array_equal(Sampling(temperature, k, top_p).is_kept(nops, logits[None]), expected[None])


@given(st.integers(0, 2**32 - 1), st.floats(0, 1, exclude_max=True, width=32))
@settings(deadline=None)
def test_one_token_kept_is_the_likeliest(seed, u):
    logits = np.random.default_rng(seed).normal(size=(1, 6)).astype("float32") * 4
    drawn = np.array([u], "float32")
    for strategy in (
        Sampling(top_k=1),
        Sampling(1e3, top_k=1),
        Sampling(top_p=1e-6),
        Sampling(temperature=1e-6),
        Sampling(temperature=1e-38),
    ):
        with np.errstate(over="ignore"):
            assert strategy.pick(nops, logits, drawn) == Greedy().pick(nops, logits, drawn)


@given(st.integers(0, 2**32 - 1), st.sampled_from([{}, {"top_k": 4}, {"top_p": 0.9}]))
@settings(deadline=None)
def test_a_token_of_no_weight_is_never_drawn(seed, arguments):
    rng = np.random.default_rng(seed)
    logits = np.where(rng.random((1, 6)) < 0.5, -np.inf, rng.normal(size=(1, 6))).astype("float32")
    logits[0, rng.integers(6)] = 0.0
    for u in (0.0, 0.5, ALMOST_ONE, 1.0):
        assert np.isfinite(logits[0, Sampling(**arguments).pick(nops, logits, np.array([u], "float32"))[0]])


def test_sums_that_do_not_grow_draw_no_token_of_no_weight(monkeypatch):
    """As where they are added in parallel: the sum at a token of no weight is an ulp above its neighbours'."""
    jump = np.nextafter(np.float32(0.5), np.float32(1))
    monkeypatch.setattr(nops, "cumsum", lambda x, axis: np.array([[0.25, 0.5, jump, 1.0]], "float32"))
    logits = np.array([[-1, -1, -np.inf, 0]], "float32")
    assert Sampling().pick(nops, logits, np.array([0.5], "float32")).tolist() == [3]


@pytest.mark.parametrize("arguments", [{"top_k": 2}, {"top_k": np.array(2)}, {"top_p": 0.4}])
def test_of_equal_tokens_the_first_are_kept(arguments):
    logits = np.zeros((1000, 5), "float32")
    assert set(Sampling(**arguments).pick(nops, logits, noise(3, 1000, 1)[:, 0])) == {0, 1}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"temperature": 0}, "temperature must be more than 0; .*Greedy.*Received: temperature=0"),
        ({"temperature": -1.0}, "Received: temperature=-1.0"),
        ({"temperature": float("nan")}, "Received: temperature=nan"),
        ({"top_k": -1}, "top_k must be a number of tokens.*Received: top_k=-1"),
        ({"top_k": 1.5}, "Received: top_k=1.5"),
        ({"top_p": 0}, "top_p must be a probability.*Received: top_p=0"),
        ({"top_p": 1.2}, "Received: top_p=1.2"),
    ],
)
def test_bad_numbers_get_a_sentence(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        Sampling(**arguments)


def test_numbers_that_are_arrays_are_those_of_each_row():
    """0 as `top_k` and 1 as `top_p` keep all tokens of a row."""
    logits = np.log(np.float32([[0.1, 0.2, 0.3, 0.4]] * 3))
    chances = np.float32([0.05, 0.05, 0.05])
    by_number = Sampling(top_k=np.array([[0], [1], [2]])).pick(nops, logits, chances)
    assert by_number.tolist() == [0, 3, 2]
    by_share = Sampling(top_p=np.float32([[1.0], [0.3], [0.7]])).pick(nops, logits, chances)
    assert by_share.tolist() == [0, 3, 2]


def test_numbers_that_change_nothing_are_left_out():
    assert Sampling(top_k=0).top_k is None and Sampling(top_p=1.0).top_p is None
    assert Sampling(top_k=3).top_k == 3 and Sampling(top_p=0.25).top_p == 0.25
    with pytest.raises(DecodingError, match="top_k"):
        Sampling(top_k=2**31)
    assert Sampling(top_k=2**31 - 1).top_k == 2**31 - 1

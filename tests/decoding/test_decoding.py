"""Strategies: the same tokens in NumPy and Keras, the distributions they say, the sums they report."""

import itertools

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import keras_rnnkit.ops.keras as kops
import keras_rnnkit.ops.numpy as nops
from keras_rnnkit import decoding
from keras_rnnkit.decoding import Beam, Greedy, Sampling, Strategy, generate, noise

V, B, STEPS, END = 7, 3, 12, 2


class Backwards(Strategy):
    """A user's strategy: the least likely token."""

    def pick(self, ops, logits, noise):
        return ops.argmax(-logits, axis=-1)


STRATEGIES = {
    "greedy": Greedy(),
    "sampling": Sampling(),
    "cold": Sampling(temperature=0.3),
    "top_k": Sampling(top_k=3),
    "top_p": Sampling(top_p=0.6),
    "all three": Sampling(0.8, top_k=4, top_p=0.7),
    "beam": Beam(3),
    "beam with a penalty": Beam(4, length_penalty=0.8),
    "beam of one": Beam(1),
    "a user's": Backwards(),
}


class Toy:
    """A model with a state: logits = h W, h = tanh(h U + E[token]). Its weights are random."""

    def __init__(self, ops, seed=0, states=5):
        rng = np.random.default_rng(seed)
        make = keras.ops.convert_to_tensor if ops is kops else np.asarray
        self.ops = ops
        self.w, self.u, self.e, self.h = (
            make(rng.normal(size=shape).astype("float32") * scale)
            for shape, scale in (((states, V), 1.5), ((states, states), 0.7), ((V, states), 1.5), ((B, states), 1.0))
        )
        self.calls = 0

    @property
    def logits(self):
        return self.ops.matmul(self.h, self.w)

    def step(self, token, states):
        self.calls += 1
        h = self.ops.tanh(self.ops.matmul(states[0], self.u) + self.ops.take(self.e, token, axis=0))
        return self.ops.matmul(h, self.w), [h]

    def run(self, strategy, steps=STEPS, end=END, seed=5):
        drawn = noise(seed, B, steps) if strategy.needs_noise else None
        return generate(self.ops, self.step, self.logits, [self.h], strategy, steps, drawn, end)


def log_softmax(x):
    shifted = x - x.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def score_of(toy, row, tokens):
    """The sum of log-probabilities of tokens, one after the other."""
    logits, states, total = toy.logits[[row]], [toy.h[[row]]], 0.0
    for token in tokens:
        total += log_softmax(logits)[0, token]
        logits, states = toy.step(np.array([token]), states)
    return total


@pytest.mark.parametrize("end", [END, None])
@pytest.mark.parametrize("name", STRATEGIES)
def test_keras_picks_what_numpy_picks(name, end):
    a, b = (Toy(ops).run(STRATEGIES[name], end=end) for ops in (nops, kops))
    np.testing.assert_array_equal(a.tokens, keras.ops.convert_to_numpy(b.tokens))
    np.testing.assert_array_equal(a.lengths, keras.ops.convert_to_numpy(b.lengths))
    np.testing.assert_allclose(a.scores, keras.ops.convert_to_numpy(b.scores), atol=1e-4)


@pytest.mark.parametrize("name", STRATEGIES)
def test_scores_are_sums_of_log_probabilities(name):
    toy = Toy(nops)
    found = toy.run(STRATEGIES[name])
    width = STRATEGIES[name].rows
    tokens = found.tokens.reshape(B * width, -1)
    for row, (line, score, length) in enumerate(zip(tokens, found.scores.flat, found.lengths.flat, strict=True)):
        np.testing.assert_allclose(score, score_of(toy, row // width, line[:length]), atol=1e-4)
        assert (line[length:] == END).all() and END not in line[: length - 1]
        assert length == tokens.shape[1] or line[length - 1] == END


def test_every_strategy_is_in_the_table():
    public = {getattr(decoding, name) for name in decoding.__all__}
    kinds = {value for value in public if isinstance(value, type) and issubclass(value, Strategy)} - {Strategy}
    assert kinds <= {type(strategy) for strategy in STRATEGIES.values()}


def test_the_loop_stops_when_all_rows_have_ended():
    toy = Toy(nops)
    toy.w = np.zeros_like(toy.w)
    toy.w[:, END] = 0
    toy.e[:] = 0
    always = lambda token, states: (np.where(np.arange(V) == END, 9.0, 0.0)[None].repeat(len(token), 0), states)  # noqa: E731
    calls = []
    found = generate(
        nops, lambda *a: (calls.append(1), always(*a))[1], np.ones((B, V)), [], Greedy(), steps=50, end=END
    )
    assert found.tokens.tolist() == [[0, 2]] * B and len(calls) == 1


def frequencies(strategy, logits, draws=20000):
    u = noise(1, draws, 1)[:, 0]
    tokens = strategy.pick(nops, np.repeat(logits[None], draws, 0), u)
    return np.bincount(tokens, minlength=len(logits)) / draws


LOGITS = np.random.default_rng(8).normal(size=V).astype("float32") * 1.5


def brute_force(temperature=1.0, top_k=None, top_p=None):
    p = np.exp(log_softmax(LOGITS.astype("float64") / temperature))
    order = np.argsort(-p, kind="stable")
    kept = order[:top_k]
    if top_p is not None:
        share = p[kept] / p[kept].sum()
        kept = kept[: 1 + int(np.sum(np.cumsum(share)[:-1] < top_p))]
    q = np.zeros(V)
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
    expected, found = brute_force(**arguments), frequencies(Sampling(**arguments), LOGITS)
    assert (found[expected == 0] == 0).all()
    np.testing.assert_allclose(found, expected, atol=0.012)  # four deviations of 20,000 draws


@pytest.mark.parametrize("arguments", [{"top_k": 3}, {"top_p": 0.75}, {"temperature": 0.7, "top_k": 4, "top_p": 0.8}])
def test_numbers_may_come_as_arrays(arguments):
    """As they do in a graph, where they are inputs."""
    arrays = {name: np.array(value) for name, value in arguments.items()}
    u = noise(2, 500, 1)[:, 0]
    logits = np.repeat(LOGITS[None], 500, 0)
    np.testing.assert_array_equal(Sampling(**arguments).pick(nops, logits, u), Sampling(**arrays).pick(nops, logits, u))


def test_all_tokens_as_arrays():
    u, logits = noise(2, 500, 1)[:, 0], np.repeat(LOGITS[None], 500, 0)
    found = Sampling(np.float32(1), np.array(0), np.array(1.0)).pick(nops, logits, u)
    assert set(found) == set(range(V))


def test_of_equal_tokens_the_first_are_kept():
    logits = np.zeros((1000, 5), "float32")
    assert set(Sampling(top_k=2).pick(nops, logits, noise(3, 1000, 1)[:, 0])) == {0, 1}


@given(st.integers(0, 2**32 - 1), st.floats(0, 1, exclude_max=True, width=32))
@settings(deadline=None)
def test_one_token_kept_is_the_likeliest(seed, u):
    logits = np.random.default_rng(seed).normal(size=(1, 6)).astype("float32") * 4
    drawn = np.array([u], "float32")
    for strategy in (Sampling(top_k=1), Sampling(top_p=1e-6), Sampling(temperature=1e-6)):
        assert strategy.pick(nops, logits, drawn) == Greedy().pick(nops, logits, drawn)


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_a_token_of_no_weight_is_never_drawn(seed):
    rng = np.random.default_rng(seed)
    logits = np.where(rng.random((1, 6)) < 0.5, -np.inf, rng.normal(size=(1, 6))).astype("float32")
    logits[0, rng.integers(6)] = 0.0
    for u in (0.0, 0.5, np.nextafter(np.float32(1), np.float32(0))):
        assert np.isfinite(logits[0, Sampling().pick(nops, logits, np.array([u], "float32"))[0]])


def test_a_beam_wide_enough_finds_the_best():
    toy = Toy(nops)
    found = toy.run(Beam(V**2), steps=3, end=None)
    for row in range(B):
        best = max(itertools.product(range(V), repeat=3), key=lambda tokens: score_of(toy, row, tokens))
        assert tuple(found.tokens[row, 0]) == best


@pytest.mark.parametrize("seed", range(5))
def test_the_best_is_first_and_no_two_are_the_same(seed):
    found = Toy(nops, seed).run(Beam(4))
    assert (np.diff(found.scores, axis=1) <= 0).all()
    for lines in found.tokens:
        assert len({tuple(line) for line in lines}) == 4
    penalised = Toy(nops, seed).run(Beam(4, length_penalty=1.0))
    rank = penalised.scores / ((5 + penalised.lengths) / 6)
    assert (np.diff(rank, axis=1) <= 1e-6).all()


@pytest.mark.parametrize("seed", range(5))
def test_a_beam_of_one_is_greedy(seed):
    one, greedy = (Toy(nops, seed).run(strategy) for strategy in (Beam(1), Greedy()))
    np.testing.assert_array_equal(one.tokens[:, 0], greedy.tokens)
    np.testing.assert_allclose(one.scores[:, 0], greedy.scores, atol=1e-5)


def test_noise_is_the_same_for_the_same_seed_and_less_than_one():
    np.testing.assert_array_equal(noise(4, 2, 6), noise(4, 2, 6))
    assert (noise(4, 2, 6) != noise(5, 2, 6)).any()
    assert noise(0, 100, 1000).max() < 1 and noise(0, 1, 1).dtype == np.float32


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Sampling(temperature=0), "temperature must be more than 0; .*Greedy.*Received: temperature=0"),
        (lambda: Sampling(temperature=-1.0), "Received: temperature=-1.0"),
        (lambda: Sampling(top_k=-1), "top_k is a number of tokens.*Received: top_k=-1"),
        (lambda: Sampling(top_k=1.5), "Received: top_k=1.5"),
        (lambda: Sampling(top_p=0), "top_p is a probability.*Received: top_p=0"),
        (lambda: Sampling(top_p=1.2), "Received: top_p=1.2"),
        (lambda: Beam(0), "width is a number of hypotheses.*Received: width=0"),
        (lambda: Toy(nops).run(Greedy(), steps=0), "steps is a number of tokens.*Received: steps=0"),
        (lambda: generate(nops, None, np.ones((2, 3)), [], Sampling(), 4), r"needs noise \[2, 4\].*Received: None"),
        (
            lambda: generate(nops, None, np.ones((2, 3)), [], Sampling(), 4, noise(0, 2, 3)),
            r"needs noise \[2, 4\].*Received: \[2, 3\]",
        ),
    ],
)
def test_bad_settings_get_a_sentence(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()

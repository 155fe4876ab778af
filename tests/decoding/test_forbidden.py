"""Tokens that are never picked, such as that of unknown words."""

import numpy as np
import pytest

import keras_rnnkit.ops.numpy as ops
from keras_rnnkit.decoding import Beam, DecodingError, Greedy, Sampling, generate, noise
from tests.decoding.table import STRATEGIES, Doubtful, Toy, V

UNKNOWN = 3
LOUD = np.where(np.arange(V) == UNKNOWN, 9.0, 0.0).astype("float32")
"""Scores of a model that would nearly always write the unknown token."""


def loud(strategy, steps=30, logits=LOUD):
    rows, step = 4, lambda token, states: (np.tile(logits, (len(token), 1)), states)
    first, drawn = np.tile(logits, (rows, 1)), noise(1, rows, steps) if strategy.needs_noise else None
    return generate(ops, step, first, [], strategy, steps, drawn)


@pytest.mark.parametrize("strategy", [Greedy(), Sampling(), Sampling(1e6), Sampling(0.01), Sampling(top_k=1), Beam(3)])
def test_a_forbidden_token_is_never_picked_however_likely_it_is(strategy):
    assert np.any(loud(strategy).tokens == UNKNOWN)
    found = loud(strategy.forbidding([UNKNOWN]))
    assert not np.any(found.tokens == UNKNOWN) and np.all(np.isfinite(found.scores))


def test_the_strategy_itself_stays_as_it_was():
    strategy = Sampling(0.5, top_k=2)
    other = strategy.forbidding(np.array([UNKNOWN, UNKNOWN]))
    assert (strategy.forbidden, other.forbidden) == ((), (UNKNOWN,)) and other.temperature == 0.5


def test_scores_stay_those_of_the_model():
    """The probability of the unknown token is not given to the others: what is left is still unlikely."""
    found = loud(Greedy().forbidding([UNKNOWN]), steps=2)
    np.testing.assert_allclose(found.scores, 2 * -np.log(np.exp(9) + V - 1), rtol=1e-5)


def test_other_tokens_are_drawn_in_their_old_proportions():
    logits = np.array([0.0, 1.0, 2.0, 5.0, 0.0, 0.0, 0.0], np.float32)
    tokens = loud(Sampling().forbidding([UNKNOWN]), steps=4000, logits=logits).tokens
    expected = np.exp(logits) * (np.arange(V) != UNKNOWN)
    np.testing.assert_allclose(
        np.bincount(tokens.ravel(), minlength=V) / tokens.size, expected / expected.sum(), atol=0.02
    )


def test_a_strategy_of_a_user_sees_that_token_as_the_least_likely():
    logits = np.where(np.arange(V) == 1, 5.0, LOUD).astype("float32")
    assert set(loud(Doubtful(), logits=logits).tokens.ravel()) == {UNKNOWN, 1}
    assert UNKNOWN not in loud(Doubtful().forbidding([UNKNOWN]), logits=logits).tokens


def test_a_beam_of_one_is_still_greedy():
    a, b = (loud(strategy.forbidding([UNKNOWN])) for strategy in (Beam(1), Greedy()))
    np.testing.assert_array_equal(a.tokens[:, 0], b.tokens)


@pytest.mark.parametrize(
    ("strategy", "sentence"),
    [
        (lambda: Greedy().forbidding([-1]), "must be numbers of tokens, 0 or more. Received: -1"),
        (lambda: Greedy().forbidding(["<unk>"]), "must be numbers of tokens, 0 or more. Received: '<unk>'"),
        (lambda: Toy().run(Greedy().forbidding(range(V))), "All 7 tokens are forbidden"),
        (lambda: Toy().run(Greedy().forbidding([2]), end=2), "The token 2 ends a row, and it is forbidden"),
    ],
)
def test_what_cannot_be_forbidden(strategy, sentence):
    with pytest.raises(DecodingError, match=sentence):
        strategy()


def test_the_table_has_strategies_that_forbid_tokens():
    assert sum(bool(strategy.forbidden) for strategy in STRATEGIES.values()) >= 3

"""Beam search against every sequence there is."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import keras_rnnkit.ops.numpy as nops
from keras_rnnkit.decoding import Beam, Greedy
from keras_rnnkit.decoding.beam import NONE_YET, Hypotheses
from tests.decoding.table import END, B, Toy, V

FEW, STEPS = 4, 4
"""Tokens and steps for which all sequences can be tried."""


def sequences(end):
    """All sequences of STEPS tokens; with an end token those that stop at it, once each."""
    whole = itertools.product(range(FEW), repeat=STEPS)
    return sorted({line[: line.index(end) + 1] if end in line else line for line in whole})


def ranked(toy, row, end, penalty=0.0):
    """(rank, score, sequence) of all sequences, the best first."""
    scored = [(toy.score_of(row, line), line) for line in sequences(end)]
    return sorted(((score / ((5 + len(line)) / 6) ** penalty, score, line) for score, line in scored), reverse=True)


@pytest.mark.parametrize("end", [1, None])
def test_a_beam_that_drops_nothing_too_early_finds_the_best(end):
    toy, width = Toy(tokens=FEW), FEW ** (STEPS - 1)
    found = toy.run(Beam(width), steps=STEPS, end=end)
    for row in range(B):
        best = ranked(toy, row, end)[:width]
        assert tuple(found.tokens[row, 0, : found.lengths[row, 0]]) == best[0][2]
        np.testing.assert_allclose(found.scores[row], [score for _, score, _ in best], atol=1e-4)


@pytest.mark.parametrize("penalty", [0.0, 0.7, 2.0])
def test_a_beam_that_drops_nothing_ranks_all_there_is(penalty):
    toy, width = Toy(seed=3, tokens=FEW), len(sequences(end=1))
    found = toy.run(Beam(width, penalty), steps=STEPS, end=1)
    for row in range(B):
        expected = ranked(toy, row, 1, penalty)
        rank = found.scores[row] / ((5 + found.lengths[row]) / 6) ** penalty
        np.testing.assert_allclose(rank, [rank for rank, _, _ in expected], atol=1e-4)
        lines = zip(found.tokens[row], found.lengths[row], strict=True)
        assert {tuple(line[:length]) for line, length in lines} == set(sequences(end=1))


def test_places_left_over_are_last_and_their_scores_say_so():
    toy, count = Toy(tokens=FEW), len(sequences(end=1))
    found = toy.run(Beam(count + 9), steps=STEPS, end=1)
    assert (found.scores[:, :count] > -1e3).all() and (found.scores[:, count:] <= -1e9).all()


@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
@settings(deadline=None, max_examples=30)
def test_no_beam_is_behind_greedy(seed, width):
    """A plain beam may be: it may drop greedy's hypothesis, and find none that ends as well."""
    toy = Toy(seed=seed)
    beam, greedy = (toy.run(strategy) for strategy in (Beam(width), Greedy()))
    assert (beam.scores[:, 0] >= greedy.scores - 1e-4).all()
    lines = [
        [list(line[:n]) for line, n in zip(*row, strict=True)] for row in zip(beam.tokens, beam.lengths, strict=True)
    ]
    assert all(list(greedy.tokens[b, : greedy.lengths[b]]) in lines[b] for b in range(B))


@pytest.mark.parametrize("seed", range(5))
def test_stopping_early_changes_nothing_of_the_best(seed):
    patient, early = Toy(seed=seed), Toy(seed=seed)
    one, other = patient.run(Beam(4), steps=40), early.run(Beam(4, early_stopping=True), steps=40)
    assert early.calls <= patient.calls
    np.testing.assert_allclose(one.scores[:, 0], other.scores[:, 0], atol=1e-5)
    for row in range(B):
        length = one.lengths[row, 0]
        np.testing.assert_array_equal(one.tokens[row, 0, :length], other.tokens[row, 0, :length])


@pytest.mark.parametrize("seed", range(5))
def test_a_beam_of_one_is_greedy(seed):
    one, greedy = (Toy(seed=seed).run(strategy) for strategy in (Beam(1), Greedy()))
    np.testing.assert_array_equal(one.tokens[:, 0], greedy.tokens)
    np.testing.assert_array_equal(one.lengths[:, 0], greedy.lengths)
    np.testing.assert_allclose(one.scores[:, 0], greedy.scores, atol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_the_best_is_first_and_no_two_are_the_same(seed):
    found = Toy(seed=seed).run(Beam(4))
    assert (np.diff(found.scores, axis=1) <= 0).all()
    for lines in found.tokens:
        assert len({tuple(line) for line in lines}) == 4
    penalised = Toy(seed=seed).run(Beam(4, length_penalty=1.0))
    rank = penalised.scores / ((5 + penalised.lengths) / 6)
    assert (np.diff(rank, axis=1) <= 1e-6).all()


def test_a_finished_hypothesis_is_frozen(rng):
    """Its line goes on with the end token alone, at no cost, and keeps its place while it is among the best."""
    carry = Hypotheses(
        np.array([4, END, END]),
        np.array([[-1.0, -1.5, NONE_YET]], "float32"),
        np.array([[3, 2, 0]]),
        np.array([[0, 1, 1]], "float32"),
        np.array([[1, 0, 0]], "float32"),
    )
    logits = np.where(np.arange(V) == 5, 9.0, rng.normal(size=(3, V))).astype("float32")
    after, rows = Beam(3).advance(nops, carry, logits, None, END)
    assert rows[:2].tolist() == [0, 1] and after.token[:2].tolist() == [5, END]
    assert after.score[0, 1] == np.float32(-1.5)
    assert after.length[0, :2].tolist() == [4, 2] and after.finished[0, :2].tolist() == [0, 1]


def test_a_place_left_over_is_not_filled_by_a_finished_hypothesis():
    score, finished = np.array([[-1.0, -1.5, NONE_YET]], "float32"), np.array([[1, 1, 0]], "float32")
    carry = Hypotheses(
        np.array([END, END, 0]), score, np.array([[3, 2, 2]]), finished, np.array([[1, 0, 0]], "float32")
    )
    _, rows = Beam(3).advance(nops, carry, np.zeros((3, V), "float32"), None, END)
    assert rows.tolist() == [0, 1, 2]


@pytest.mark.parametrize("width", [0, -1, 1.5])
def test_a_width_that_is_none_gets_a_sentence(width):
    with pytest.raises(ValueError, match=f"width must be a number of hypotheses, 1 or more. Received: width={width}"):
        Beam(width)


def test_greedy_takes_the_place_of_the_worst_hypothesis():
    """Its next token is the likeliest after it, 10 here, although four others score higher."""
    width, count = 4, 3
    carry = Hypotheses(None, None, None, None, greedy=np.float32([[0, 0, 0, 1]]))
    gain = np.log(np.float32([[[0.5, 0.3, 0.2]] * 3 + [[0.2, 0.7, 0.1]]]))
    total = gain.reshape(1, -1) + np.float32([[0, 0, 0, -1, -1, -1, -2, -2, -2, -9, -9, -9]])
    score, candidate, greedy = Beam(width).best_candidates(nops, carry, gain, total)
    assert candidate.tolist() == [[0, 1, 2, 3 * count + 1]]
    assert greedy.tolist() == [[0, 0, 0, 1]]
    np.testing.assert_allclose(score, total[:, candidate[0]])

"""The token loop: what it reports, when it stops, what it refuses."""

import numpy as np
import pytest

import keras_rnnkit.ops.numpy as nops
from keras_rnnkit.decoding import Beam, Greedy, Sampling, generate, noise, stream
from keras_rnnkit.decoding.errors import DecodingError
from keras_rnnkit.decoding.prompts import pad_prompts
from keras_rnnkit.decoding.sources import SourceError, checked_source
from keras_rnnkit.decoding.strategy import Picked
from tests.decoding.table import END, PICKED, STEPS, STRATEGIES, B, Toy, V


@pytest.mark.parametrize("name", STRATEGIES)
def test_scores_are_sums_of_log_probabilities(name):
    toy, width = Toy(), STRATEGIES[name].rows
    found = toy.run(STRATEGIES[name])
    tokens = found.tokens.reshape(B * width, -1)
    for row, (line, score, length) in enumerate(zip(tokens, found.scores.flat, found.lengths.flat, strict=True)):
        np.testing.assert_allclose(score, toy.score_of(row // width, line[:length]), atol=1e-4)
        assert (line[length:] == END).all() and END not in line[: length - 1]
        assert length == tokens.shape[1] or line[length - 1] == END


@pytest.mark.parametrize("name", PICKED)
def test_a_finished_row_is_frozen(name, rng):
    carry = Picked(np.array([4, END]), np.array([-1.0, -2.5], "float32"), np.array([3, 5]), np.array([0, 1], "float32"))
    logits, drawn = rng.normal(size=(2, V)).astype("float32"), noise(0, 2, 1)[:, 0]
    after, rows = STRATEGIES[name].advance(nops, carry, logits, drawn, END)
    assert rows is None and (after.token[1], after.length[1], after.finished[1]) == (END, 5, 1)
    assert after.score[1] == np.float32(-2.5)
    assert after.length[0] == 4 and after.score[0] < -1


def model_that_ends(at):
    """Row b gives END as its token number at[b] + 1, and token 0 before. State: how many tokens were."""

    def logits_of(count):
        return np.where(np.arange(V) == np.where(count >= at, END, 0)[:, None], 40.0, 0.0).astype("float32")

    def step(token, states):
        step.calls += 1
        return logits_of(states[0]), [states[0] + 1]

    step.calls, at = 0, np.array(at)
    return step, logits_of(np.zeros(len(at))), [np.ones(len(at))]


@pytest.mark.parametrize("strategy", [Greedy(), Sampling(), Beam(1)])
@pytest.mark.parametrize("at", [[0, 0], [2, 5], [3, 0]])
def test_the_loop_stops_when_all_rows_have_ended(strategy, at):
    step, logits, states = model_that_ends(at)
    found = generate(nops, step, logits, states, strategy, 50, noise(0, 2, 50), end=END)
    lengths = np.array(at) + 1
    assert step.calls == max(at) and found.tokens.shape[-1] == max(lengths)
    np.testing.assert_array_equal(found.lengths.reshape(-1), lengths)
    expected = np.where(np.arange(max(lengths)) < np.array(at)[:, None], 0, END)
    np.testing.assert_array_equal(found.tokens.reshape(2, -1), expected)


def test_a_beam_stops_when_all_its_hypotheses_have_ended():
    table = np.full((V, V), -50.0, "float32")
    table[:, END], table[:, 0] = 0.0, -0.5
    calls = []
    step = lambda token, states: (calls.append(1), (table[token], states))[1]  # noqa: E731
    found = generate(nops, step, table[[0]], [], Beam(2), 50, end=END)
    assert len(calls) == 1 and found.tokens.tolist() == [[[END, END], [0, END]]]
    assert found.lengths.tolist() == [[1, 2]]


@pytest.mark.parametrize("name", STRATEGIES)
def test_without_an_end_token_all_steps_are_made_and_no_more(name):
    toy = Toy()
    found = toy.run(STRATEGIES[name], end=None)
    assert found.tokens.shape[-1] == STEPS and (found.lengths == STEPS).all()
    assert toy.calls == STEPS - 1


@pytest.mark.parametrize("name", PICKED)
def test_a_stream_gives_what_generate_gives(name):
    streamed = list(Toy().run(STRATEGIES[name], how=stream))
    np.testing.assert_array_equal(np.stack(streamed, axis=1), Toy().run(STRATEGIES[name]).tokens)


def test_a_stream_gives_a_token_before_it_makes_the_next():
    toy = Toy()
    tokens = toy.run(Greedy(), end=None, how=stream)
    for before in range(3):
        next(tokens)
        assert toy.calls == before


def test_noise_is_the_same_for_the_same_seed_and_less_than_one():
    np.testing.assert_array_equal(noise(4, 2, 6), noise(4, 2, 6))
    assert (noise(4, 2, 6) != noise(5, 2, 6)).any()
    assert noise(0, 100, 1000).max() < 1 and noise(0, 1, 1).dtype == np.float32


def short(strategy, steps=4, drawn=None, end=None, how=generate):
    return lambda: how(nops, None, np.ones((2, 3)), [], strategy, steps, drawn, end)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (short(Greedy(), steps=0), "steps must be a number of tokens.*Received: steps=0"),
        (short(Sampling()), r"Sampling draws, and needs noise \[2, 4\].*Received: None"),
        (short(Sampling(), drawn=noise(0, 2, 3)), r"needs noise \[2, 4\].*Received: \[2, 3\]"),
        (short(Sampling(), drawn=noise(0, 1, 4)), r"needs noise \[2, 4\].*Received: \[1, 4\]"),
        (short(Greedy(), end=3), "end must be one of the 3 tokens, 0 to 2, or None.*Received: end=3"),
        (short(Greedy(), end=-1), "Received: end=-1"),
        (short(Beam(2), how=stream), "Beam keeps 2 hypotheses, of which it may drop any. Use generate"),
    ],
)
def test_what_cannot_be_is_a_sentence(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


def test_features_and_images_as_sources():
    features, images = np.ones((2, 5, 3)), np.ones((2, 9, 9, 3))
    assert checked_source(features, limit=5).shape == (2, 5, 3)
    assert checked_source(images, limit=5).shape == (2, 9, 9, 3)
    with pytest.raises(SourceError, match="Source 0 has 5 steps, and the model takes 4 at most"):
        checked_source(features, limit=4)
    for wrong in (np.ones((2, 5)), np.ones((2, 0, 3))):
        with pytest.raises(SourceError, match=r"features \[batch, steps, size\] or images. Received: \[2, "):
            checked_source(wrong)


def test_tokens_as_sources():
    assert checked_source(np.array([4, 5]), tokens=8).tolist() == [[4, 5]]
    assert checked_source([[4, 5, 6], [7]], tokens=8, limit=3).tolist() == [[4, 5, 6], [7, 0, 0]]
    for wrong, sentence in (
        ([], "There is no source"),
        ([[4], []], r"Source 1 is empty. Received: \[0\]"),
        ([[0, 0]], "Source 0 is empty"),
        ([[4, 8]], "Tokens must be 0 to 7. Received: 4 to 8 in source 0"),
        ([[4.0]], "must be the ids of its tokens. Received: float64 in source 0"),
        ([4, 5], "must be a row of token ids"),
        ([[4], [4, 5, 6, 7]], "Source 1 has 4 steps, and the model takes 3 at most"),
    ):
        with pytest.raises(SourceError, match=sentence):
            checked_source(wrong, tokens=8, limit=3)


def test_prompts_of_every_whole_number_type():
    for kind in ("uint8", "uint64", "int16", "int64"):
        tokens, lengths = pad_prompts([np.array([4, 5], kind), [6]])
        assert tokens.tolist() == [[4, 5], [6, 0]] and lengths.tolist() == [2, 1]
    assert pad_prompts([np.array([2**63 - 1], "uint64")])[0].tolist() == [[2**63 - 1]]
    with pytest.raises(DecodingError, match="Prompt 0 must hold token ids.*Received: uint64"):
        pad_prompts([np.array([2**63], "uint64")])

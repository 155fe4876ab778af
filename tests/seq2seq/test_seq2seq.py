"""Encoder and decoder: one road of training against another, decoding, files, gradients, what is refused."""

import functools
import itertools

import keras
import numpy as np
import pytest

import keras_rnnkit as rk
from keras_rnnkit.decoding import Beam, Greedy, Sampling
from keras_rnnkit.decoding.sources import SourceError
from tests.covering import studied
from tests.seq2seq.table import AFTER, BEFORE, DECODERS, QUICK, SOURCE, TARGETS, model_of, shake, shared_model


def array(x):
    return np.asarray(keras.ops.convert_to_numpy(x))


@pytest.mark.parametrize("name", DECODERS)
def test_all_steps_at_once_are_the_steps_one_by_one(name):
    """What trains (the hoisted kernel, attention for all steps) is what writes (cells, one token)."""
    model = shared_model(name)
    whole = array(model((SOURCE, BEFORE)))
    memory, states = model.reading(SOURCE)
    for t in range(BEFORE.shape[1]):
        logits, states, _ = model.decoder.step(keras.ops.convert_to_tensor(BEFORE[:, t]), states, memory)
        np.testing.assert_allclose(array(logits), whole[:, t], atol=2e-5)


@pytest.mark.parametrize("name", DECODERS)
def test_a_padded_source_is_the_source(name):
    model = shared_model(name)
    alone = array(model((SOURCE[:1, :3], BEFORE[:1])))
    np.testing.assert_allclose(array(model((SOURCE, BEFORE)))[:1], alone, atol=2e-5)


@studied("name", DECODERS, QUICK)
def test_scores_are_those_of_teacher_forcing_and_a_beam_is_no_worse_than_greedy(name):
    model = shared_model(name)
    sources = [[4, 5], [6, 7, 8, 9, 10]]
    greedy, one = model.translate(sources, steps=6), model.translate(sources, Beam(1), steps=6)
    np.testing.assert_array_equal(one.tokens[:, 0], greedy.tokens)
    np.testing.assert_allclose(one.scores[:, 0], greedy.scores, atol=1e-4)
    beam = model.translate(sources, Beam(3), steps=6)
    assert (beam.scores[:, 0] >= greedy.scores - 1e-4).all() and (np.diff(beam.scores, axis=1) <= 1e-5).all()
    for source, tokens, lengths, scores in zip(sources, beam.tokens, beam.lengths, beam.scores, strict=True):
        log_p = model.log_probabilities([source] * 3, tokens)
        before_end = np.arange(tokens.shape[1]) < lengths[:, None]
        np.testing.assert_allclose((log_p * before_end).sum(axis=1), scores, atol=1e-4)


@pytest.mark.parametrize("name", ["additive", "fixed vector at every step"])
def test_a_row_of_a_batch_is_what_it_is_alone(name):
    model, sources = shared_model(name), [[4, 5], [6, 7, 8, 9, 10]]
    together = model.translate(sources, Beam(4), steps=7)
    for b, source in enumerate(sources):
        alone = model.translate([source], Beam(4), steps=7)
        for k in range(4):
            length = alone.lengths[0, k]
            np.testing.assert_array_equal(together.tokens[b, k, :length], alone.tokens[0, k, :length])
        np.testing.assert_allclose(together.scores[b], alone.scores[0], atol=1e-4)


def test_a_finished_row_repeats_the_end():
    found = model_of("additive", seed=5).translate([[4, 5], [6, 7, 8], [9], [10, 4]], steps=12)
    for row, length in zip(found.tokens, found.lengths, strict=True):
        assert (row[length:] == 3).all() and (length == 12 or row[length - 1] == 3)


def test_attention_goes_with_its_tokens():
    """Of every hypothesis of a beam: the weights that teacher forcing on its tokens gives."""
    model = shared_model("general, fed")
    found = model.translate([[4, 5, 6], [7, 8]], Beam(4), steps=6)
    assert found.attention.shape == (2, 4, found.tokens.shape[-1], 3)
    assert not found.attention[1, :, :, 2].any()  # padding of the shorter source
    for b, k in itertools.product(range(2), range(4)):
        memory, states = model.reading(np.array([[[4, 5, 6], [7, 8, 0]][b]], "int32"))
        token = 2
        for t in range(found.lengths[b, k]):
            _, states, looked = model.decoder.step(np.array([token], "int32"), states, memory)
            np.testing.assert_allclose(array(looked)[0], found.attention[b, k, t], atol=1e-4)
            token = found.tokens[b, k, t]


def test_sampling_follows_its_seed():
    model = shared_model("dot")
    one, again, other = (model.translate([[4, 5]], Sampling(2.0), 8, seed=seed).tokens.tolist() for seed in (1, 1, 2))
    assert one == again != other


@studied("name", DECODERS, QUICK)
def test_a_model_is_saved_whole(name, tmp_path):
    model = shared_model(name)
    model.save(tmp_path / "model.keras")
    loaded = rk.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(array(loaded((SOURCE, BEFORE))), array(model((SOURCE, BEFORE))))
    if name == QUICK[1]:
        one, other = (m.translate(SOURCE, Beam(4), steps=5) for m in (model, loaded))
        np.testing.assert_array_equal(one.tokens, other.tokens)


@pytest.mark.parametrize("name", ["additive", "general, fed"])
def test_gradients_are_differences(name):
    """Of the loss, in a random direction; through the loop too."""
    import tensorflow as tf

    model, loss = model_of(name, deep=False), rk.training.NextToken(ignore=0, smoothing=0.1)
    rng, weights = np.random.default_rng(0), model.trainable_weights
    with tf.GradientTape() as tape:
        value = loss(AFTER, model((SOURCE, BEFORE), training=True))
    gradients = [tf.convert_to_tensor(g) for g in tape.gradient(value, [w.value for w in weights])]
    way = [rng.normal(size=tuple(w.shape)).astype("float32") for w in weights]
    slope = sum(float(np.sum(array(g) * d)) for g, d in zip(gradients, way, strict=True))
    start, step, found = [array(w) for w in weights], 2e-3, []
    for sign in (1, -1):
        for weight, before, d in zip(weights, start, way, strict=True):
            weight.assign(before + sign * step * d)
        found.append(float(loss(AFTER, model((SOURCE, BEFORE)))))
    assert slope == pytest.approx((found[0] - found[1]) / (2 * step), rel=2e-2, abs=2e-3)


@pytest.mark.study
def test_it_learns_to_turn_round(rng):
    """A sequence backwards, from lists of different lengths; nearly all of them after a few seconds."""
    sources = [rng.integers(4, 9, size=rng.integers(2, 6)) for _ in range(800)]
    targets = [[2, *source[::-1], 3] for source in sources]
    keras.utils.set_random_seed(1)
    encoder = rk.Encoder(rk.Bidirectional(rk.GRU(24)), TARGETS, 12)
    model = rk.Seq2Seq(encoder, rk.Decoder(rk.GRU(24), TARGETS, 12, attention=rk.attention.General()))
    pairs = rk.data.Pairs(sources, targets, tokens=512, seed=0)
    model.compile(keras.optimizers.Adam(1e-2), rk.training.NextToken(ignore=0))
    rk.training.fit(model, pairs, 6, verbose=0, shuffle=False)
    found = model.translate(sources[:100], steps=8)
    right = [list(t[:n]) == target[1:] for t, n, target in zip(found.tokens, found.lengths, targets, strict=False)]
    assert np.mean(right) > 0.9


def test_scheduled_sampling_reads_own_tokens():
    """At 0 it is teacher forcing; at 1 only the first token is the teacher's."""
    model = model_of("additive", deep=False, scheduled_sampling=True)
    taught, other = array(model((SOURCE, BEFORE))), np.where(np.arange(4) > 0, 8, BEFORE)
    np.testing.assert_allclose(array(model((SOURCE, BEFORE), training=True)), taught, atol=2e-5)
    model.decoder.sampling.assign(1.0)
    shake(model.decoder.score, 0, size=40.0)  # sure of itself, so that what is drawn is what is likeliest
    own = array(model((SOURCE, BEFORE), training=True))
    np.testing.assert_allclose(own, array(model((SOURCE, other), training=True)), atol=1e-3)
    greedy = model.translate(SOURCE, steps=4)
    np.testing.assert_array_equal(own.argmax(-1)[:, :2], greedy.tokens[:, :2])


def test_tokens_that_are_not_shown_change_nothing():
    """Nearly all are left out in training, none elsewhere."""
    model, other = model_of("additive", deep=False, token_dropout=0.999999), np.where(BEFORE > 0, 8, 0)
    one, two = (array(model((SOURCE, tokens), training=True)) for tokens in (BEFORE, other))
    np.testing.assert_array_equal(one, two)
    one, two = (array(model((SOURCE, tokens))) for tokens in (BEFORE, other))
    assert np.abs(one - two).max() > 1e-3


def test_scheduled_sampling_rises_and_wants_a_decoder_that_is_ready():
    rise = rk.seq2seq.ScheduledSampling(0.5, over=10, decay="inverse_sigmoid")
    parts = [rise.fraction(i) for i in range(30)]
    assert parts[0] == 0.0 and parts == sorted(parts) and parts[-1] == pytest.approx(0.5, abs=1e-3)
    ready, not_ready = (model_of("dot", deep=False, scheduled_sampling=flag) for flag in (True, False))
    for model in (ready, not_ready):
        model.compile("sgd", rk.training.NextToken(ignore=0), run_eagerly=True)
    ready.fit((SOURCE, BEFORE), AFTER, epochs=3, callbacks=[rk.seq2seq.ScheduledSampling(0.5, over=2)], verbose=0)
    assert float(ready.decoder.sampling) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="scheduled_sampling=True"):
        not_ready.fit((SOURCE, BEFORE), AFTER, callbacks=[rise], verbose=0)


def test_states_are_passed_on_where_they_fit():
    encoder, decoder = rk.Encoder([rk.LSTM(6), rk.LSTM(6)], 12, 4), rk.Decoder([rk.LSTM(6), rk.LSTM(6)], 9, 4)
    model = rk.Seq2Seq(encoder, decoder)
    model((SOURCE, BEFORE))
    encoded = encoder(SOURCE)
    for given, first in zip(encoded.states, decoder.begin(encoded), strict=True):
        np.testing.assert_array_equal(array(given), array(first))
    assert not decoder.bridge.weights
    with pytest.raises(ValueError, match=r"\[4, 4\] wide and the decoder's first \[6\].*bridge='dense'"):
        rk.Seq2Seq(rk.Encoder(rk.Bidirectional(rk.GRU(4)), 12, 4), rk.Decoder(rk.GRU(6), 9, 4, bridge="pass"))(
            (SOURCE, BEFORE)
        )


def test_features_may_be_the_source(rng):
    model = rk.Seq2Seq(rk.Encoder(rk.GRU(6)), rk.Decoder(rk.GRU(6), 9, 4, attention=rk.attention.Dot()))
    x = rng.normal(size=(2, 7, 3)).astype("float32")
    assert model((x, BEFORE)).shape == (2, 4, 9)
    assert model.translate(x, Greedy(), steps=3).attention.shape[2] == 7


@functools.cache
def limited_model():
    return model_of("dot", deep=False, limit=3)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ([[4, 5, 6, 7]], "Source 0 has 4 steps, and the model takes 3 at most"),
        ([[4], [99]], "Tokens must be 0 to 11. Received: 99 to 99 in source 1"),
        ([[4], []], "Source 1 is empty"),
        ([], "There is no source"),
        ([[0, 0]], "Source 0 is empty"),
        ([[0.5]], "the ids of its tokens. Received: float64 in source 0"),
    ],
)
def test_sources_that_cannot_be_read(source, sentence):
    with pytest.raises(SourceError, match=sentence):
        limited_model().translate(source)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: rk.Decoder(rk.Bidirectional(rk.GRU(4)), 9, 4), "layers that read forwards"),
        (lambda: rk.Decoder(rk.GRU(4, go_backwards=True), 9, 4), "go_backwards=True"),
        (lambda: rk.Decoder(rk.GRU(4), 9, 4, attention="dot"), "one of rk.attention.*Received: 'dot'"),
        (lambda: rk.Decoder(rk.GRU(4), 9, 4, bridge="over"), "bridge='over'"),
        (lambda: rk.Encoder(rk.GRU(4), vocabulary_size=9), "both vocabulary_size and embedding_dim"),
        (lambda: rk.Seq2Seq(rk.Encoder(rk.GRU(4), 9, 4), rk.Decoder(rk.GRU(4), 9, 4), end=9), "Received: end=9"),
    ],
)
def test_what_cannot_be_built_gets_a_sentence(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


def test_label_smoothing_is_keras_own(rng):
    logits, targets = rng.normal(size=(5, 7)).astype("float32"), rng.integers(7, size=5)
    smooth = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2)
    expected = smooth(keras.ops.one_hot(targets, 7), logits)
    np.testing.assert_allclose(float(rk.training.NextToken(smoothing=0.2)(targets, logits)), float(expected), rtol=1e-5)

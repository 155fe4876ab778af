"""Decoders trained step by step: noise, dropout and statistics of their cells are those of training."""

import keras
import numpy as np
import pytest

import keras_rnnkit as rk
from keras_rnnkit.seq2seq.decoder import Memory
from keras_rnnkit.seq2seq.step_by_step import fed_outputs
from tests.covering import studied
from tests.seq2seq.table import AFTER, BEFORE, SOURCE, SOURCES, TARGETS, shake

cells = rk.cells


def array(x):
    return np.asarray(keras.ops.convert_to_numpy(x))


def model_of(layers, **options):
    encoder = rk.Encoder(rk.GRU(8), vocabulary_size=SOURCES, embedding_dim=5)
    options = {"attention": rk.attention.Dot(), **options}
    model = rk.Seq2Seq(encoder, rk.Decoder(layers, TARGETS, embedding_dim=3, **options))
    model((SOURCE, BEFORE))
    shake(model, 1)
    return model


def zoneout(rate):
    return cells.ZoneoutCell(cells.LSTMCell(8), rate=rate)


WAYS = {"fed": {"input_feeding": True}, "sampled": {"scheduled_sampling": True}}


@pytest.mark.parametrize("way", WAYS)
def test_zoneout_draws_in_training(way):
    model = model_of([zoneout([0.5, 0.3]), cells.GRUCell(8)], **WAYS[way])
    first, second = (array(model((SOURCE, BEFORE), training=True)) for _ in range(2))
    assert np.abs(first - second).max() > 1e-2
    calm = [array(model((SOURCE, BEFORE))) for _ in range(2)]
    np.testing.assert_array_equal(*calm)
    without = model_of([zoneout(0.0), cells.GRUCell(8)], **WAYS[way])
    np.testing.assert_allclose(
        array(without((SOURCE, BEFORE), training=True)), array(without((SOURCE, BEFORE))), atol=1e-5
    )


def test_each_step_reads_its_own_noise(monkeypatch):
    """Rows whose units are all kept at a step repeat their states there, and only there."""
    model = model_of([zoneout(0.5)], input_feeding=True)
    decoder, keep = model.decoder, np.zeros((2, 4, 2, 8), "float32")  # for h and for c
    keep[0, 2, 0] = keep[0, 1, 1] = keep[1, 3, 0] = keep[1, 0, 1] = 1.0
    noise = [keras.ops.convert_to_tensor(array) for array in keep]
    monkeypatch.setattr(decoder.layers[0].cell, "draw", lambda shape, dtype: noise)
    found = array(model((SOURCE, BEFORE), training=True))
    memory, states = model.reading(SOURCE)
    cell = decoder.layers[0].cell.cell
    for t in range(4):
        x = array(decoder.embed(BEFORE[:, t : t + 1], memory))[:, 0]
        h, c, fed = states
        _, (new_h, new_c) = cell(np.concatenate([x, array(fed)], axis=-1), [h, c])
        h, c = (
            np.where(kept[t] > 0, array(old), array(new))
            for kept, old, new in zip(keep, (h, c), (new_h, new_c), strict=True)
        )
        a, _ = decoder.attend(h[:, None], memory)
        np.testing.assert_allclose(found[:, t], array(decoder.score(a))[:, 0], atol=1e-5)
        states = [h, c, array(a)[:, 0]]


@pytest.mark.parametrize("way", WAYS)
def test_dropout_of_a_cell_is_one_mask_for_all_steps(way):
    """With every input dropped, the tokens change nothing in training and all elsewhere."""
    model = model_of([rk.GRU(8, dropout=0.999999)], **WAYS[way])
    other = np.where(BEFORE > 0, 8, 0)
    one, two = (array(model((SOURCE, tokens), training=True)) for tokens in (BEFORE, other))
    np.testing.assert_allclose(one, two, atol=1e-5)
    one, two = (array(model((SOURCE, tokens))) for tokens in (BEFORE, other))
    assert np.abs(one - two).max() > 1e-3


class Sum(cells.Cell):
    """h_t = x_t + h_{t-1}: shows what dropout has left of both."""

    def project(self, ops, w, x):
        return x[..., : self.units]

    def recur(self, ops, w, h):
        return h

    def gates(self, ops, w, z, r, state):
        h = z + r
        return h, [h]


def outputs_in_graph(cell, x, h):
    """The outputs of a decoder with input feeding in training, as `fit` computes them."""
    import tensorflow as tf

    decoder = rk.Decoder(cell, TARGETS, embedding_dim=cell.units, input_feeding=True)
    run = tf.function(lambda: fed_outputs(decoder, x, [h, tf.zeros_like(h)], Memory(), training=True))
    first, second = array(run()), array(run())
    assert np.abs(first - second).max() > 0.1, "two calls draw two masks"
    assert cell._dropout_mask is None and cell._recurrent_dropout_mask is None, "a tensor has left its graph"
    return first


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the graph is TensorFlow's")
def test_a_graph_has_one_dropout_mask_for_all_steps():
    """A mask drawn in the body of the loop would be another one at each step, which an eager loop does not show."""
    h = keras.ops.ones((2, 60))
    outputs = outputs_in_graph(Sum(60, dropout=0.5), keras.ops.ones((2, 5, 60)), h)
    kept = np.diff(np.concatenate([array(h)[:, None], outputs], axis=1), axis=1)
    assert set(np.unique(kept)) == {0.0, 2.0}
    np.testing.assert_array_equal(kept, np.repeat(kept[:, :1], 5, axis=1))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the graph is TensorFlow's")
def test_a_graph_has_one_recurrent_dropout_mask_for_all_steps():
    outputs = outputs_in_graph(Sum(60, recurrent_dropout=0.5), keras.ops.zeros((2, 5, 60)), keras.ops.ones((2, 60)))
    kept = outputs > 0
    assert 0.3 < kept.mean() < 0.7
    np.testing.assert_array_equal(kept, np.repeat(kept[:, :1], 5, axis=1))


def test_recurrent_dropout_draws_anew_for_each_call():
    model = model_of([keras.layers.GRU(8, recurrent_dropout=0.5)], input_feeding=True)
    first, second = (array(model((SOURCE, BEFORE), training=True)) for _ in range(2))
    assert np.abs(first - second).max() > 1e-3
    np.testing.assert_array_equal(array(model((SOURCE, BEFORE))), array(model((SOURCE, BEFORE))))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX cannot assign inside a loop")
def test_statistics_that_a_cell_keeps_itself_move_in_training():
    class Counting(keras.layers.GRUCell):
        def build(self, shape):
            super().build(shape)
            self.seen = self.add_weight(name="seen", shape=(), initializer="zeros", trainable=False)

        def call(self, inputs, states, training=False):
            if training:
                self.seen.assign_add(1.0)
            return super().call(inputs, states, training=training)

    model = model_of([Counting(8)], input_feeding=True)
    cell = model.decoder.layers[0].cell
    cell.seen.assign(0.0)
    model((SOURCE, BEFORE))
    assert float(cell.seen) == 0.0
    model((SOURCE, BEFORE), training=True)
    assert float(cell.seen) == BEFORE.shape[1]


@pytest.mark.parametrize("way", WAYS)
def test_batch_normalisation_wants_all_steps_at_once(way):
    def cell():
        return cells.ZoneoutCell(cells.BatchNormCell(cells.GRUCell(8)))

    with pytest.raises(ValueError, match=r"statistics from all steps at once. Received: layer 'recurrent.*LayerNorm"):
        rk.Decoder([cell()], TARGETS, 3, **WAYS[way])
    model = model_of([cell()])
    average = model.decoder.layers[0].cell.cell.running_mean
    average.assign(average * 0)
    model((SOURCE, BEFORE), training=True)
    assert np.abs(array(average)).max() > 1e-4


NOISY = {
    "zoneout": lambda: [zoneout(0.2)],
    "zoneout and dropout": lambda: [zoneout(0.2), rk.GRU(8, dropout=0.2, recurrent_dropout=0.1)],
}


@studied("way, noise", [(way, noise) for way in WAYS for noise in NOISY], [("sampled", "zoneout")])
def test_noisy_decoders_train_in_a_graph(way, noise):
    model = model_of(NOISY[noise](), **WAYS[way])
    model.compile(keras.optimizers.Adam(1e-2), rk.training.NextToken(ignore=0))
    model.optimizer.build(model.trainable_variables)  # otherwise the first step is traced twice
    before = [array(w) for w in model.trainable_weights]
    losses = model.fit((SOURCE, BEFORE), AFTER, epochs=12, verbose=0).history["loss"]
    assert np.isfinite(losses).all() and np.mean(losses[-3:]) < np.mean(losses[:3])
    changed = [np.abs(array(w) - b).max() > 0 for w, b in zip(model.trainable_weights, before, strict=True)]
    assert all(changed)


REFUSED = {
    "no layers": (lambda: rk.Decoder([], 9, 4), r"at least one recurrent layer or cell"),
    "attention-size": (
        lambda: rk.Decoder(rk.GRU(4), 9, 4, attention=rk.attention.Dot(), attention_size="a"),
        r"Decoder: `attention_size` must be a positive integer. Received: attention_size='a'",
    ),
    "token-dropout": (lambda: rk.Decoder(rk.GRU(4), 9, 4, token_dropout=1.5), r"`token_dropout` is a share"),
    "embedding": (lambda: rk.Encoder(rk.GRU(4), 9, -4), r"Encoder: `embedding_dim` must be a positive integer"),
    "network": (lambda: rk.seq2seq.ImageEncoder(3), r"ImageEncoder takes a Keras model.*Received: 3"),
    "encoder": (lambda: rk.Seq2Seq(3, rk.Decoder(rk.GRU(4), 9, 4)), r"encoder.*rk.Encoder.*Received: 3"),
    "decoder": (lambda: rk.Seq2Seq(rk.Encoder(rk.GRU(4), 9, 4), rk.GRU(4)), r"decoder.*rk.Decoder.*Received: <GRU"),
    "begin": (
        lambda: rk.Seq2Seq(rk.Encoder(rk.GRU(4), 9, 4), rk.Decoder(rk.GRU(4), 9, 4), begin="<bos>"),
        r"begin must be the number of one of the decoder's 9 tokens. Received: begin='<bos>'",
    ),
    "target": (
        lambda: model_of([rk.GRU(8)]).log_probabilities([[4, 5]], [[4, 99]]),
        r"tokens 0 to 8. Received: 4 to 99",
    ),
    "pairs": (
        lambda: model_of([rk.GRU(8)]).log_probabilities([[4, 5]], [[4, 3], [5, 3]]),
        r"1 source\(s\) and 2 target\(s\)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_used_gets_a_sentence(name):
    provoke, sentence = REFUSED[name]
    with pytest.raises(ValueError, match=f"(?s){sentence}"):
        provoke()

"""The token of unknown words is read, and never written unless that is allowed."""

import keras
import numpy as np
import pytest

import keras_rnnkit as rk
from keras_rnnkit.decoding import Beam, Greedy, Sampling
from tests.export.conftest import randomised

VOCABULARY = rk.text.Vocabulary.of("to be or not", rk.text.Words(), ["<pad>", "<unk>", "<bos>", "<eos>"])
UNKNOWN = VOCABULARY.number("<unk>")


def exported(folder, **settings):
    """The bundle of a model that finds the unknown word the likeliest at every step."""
    tokens = keras.Input((None,), dtype="int32", name="words")
    x = rk.LSTM(4, return_sequences=True)(keras.layers.Embedding(len(VOCABULARY), 3)(tokens))
    model = randomised(keras.Model(tokens, keras.layers.Dense(len(VOCABULARY), name="logits")(x)))
    bias = model.get_layer("logits").bias
    bias.assign(np.where(np.arange(len(VOCABULARY)) == UNKNOWN, 9.0, 0.0))
    modes = ["stream", "generate"]
    rk.export_bundle(model, folder, modes=modes, vocabulary=VOCABULARY, saved_model=False, **settings)
    return rk.runtime.load(folder)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return exported(tmp_path_factory.mktemp("bundles") / "sampling")


@pytest.mark.parametrize("strategy", [Greedy(), Sampling(), Sampling(2.0, top_k=3), Beam(2)])
def test_a_strategy_does_not_write_it(bundle, strategy):
    assert UNKNOWN not in bundle.generate("to be hamlet", 20, strategy).tokens
    assert UNKNOWN in bundle.generate("to be hamlet", 20, strategy, allow_unknown=True).tokens


def test_nor_do_the_exported_loop_and_the_stream_of_tokens(bundle):
    by_graph = bundle.generate("to be", 20, seed=4, temperature=0.8)
    by_steps = bundle.generate("to be", 20, Sampling(0.8), seed=4)
    assert UNKNOWN not in by_graph.tokens
    np.testing.assert_array_equal(by_graph.tokens, by_steps.tokens)
    assert UNKNOWN not in np.stack(list(bundle.tokens("to be", 20)))
    assert UNKNOWN in np.stack(list(bundle.tokens("to be", 20, allow_unknown=True)))
    with pytest.raises(rk.runtime.InputError, match="never picks the token of unknown words, and that cannot be"):
        bundle.generate("to be", allow_unknown=True)


def test_the_exported_loop_writes_it_where_that_is_asked_for(tmp_path):
    bundle = exported(tmp_path / "bundle", strategy="greedy", allow_unknown=True)
    assert UNKNOWN in bundle.generate("to be", 5).tokens and UNKNOWN in bundle.generate("to", allow_unknown=True).tokens


def test_translations_are_without_it(tmp_path):
    encoder = rk.Encoder(rk.GRU(4, return_sequences=True), len(VOCABULARY), 3)
    model = rk.Seq2Seq(encoder, rk.Decoder([rk.GRU(4, return_sequences=True)], len(VOCABULARY), 3), limit=8)
    model((np.ones((1, 4), "int32"), np.ones((1, 3), "int32")))
    model.decoder.weights[-1].assign(np.where(np.arange(len(VOCABULARY)) == UNKNOWN, 9.0, 0.0))
    rk.export_bundle(model, tmp_path / "bundle", vocabulary=(VOCABULARY, VOCABULARY), saved_model=False)
    bundle = rk.runtime.load(tmp_path / "bundle")
    assert UNKNOWN not in bundle.translate("to be", 6).tokens
    assert UNKNOWN not in bundle.translate("to be", 6, Greedy()).tokens
    assert UNKNOWN in bundle.translate("to be", 6, Greedy(), allow_unknown=True).tokens
    with pytest.raises(rk.runtime.InputError, match="that cannot be changed. Received: allow_unknown=True"):
        bundle.translate("to be", 6, allow_unknown=True)

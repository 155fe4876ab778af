"""Decoders of cells that read their input alone."""

import numpy as np
import pytest

import keras_rnnkit as rk
from tests.seq2seq.table import AFTER, BEFORE, SOURCE, SOURCES, TARGETS, shake

CELLS = {
    "minGRU, mLSTM": lambda: [rk.cells.MinGRUCell(8), rk.cells.MLSTMCell(8, heads=2)],
    "convolution, LRU": lambda: [rk.cells.ConvolutionCell(3), rk.cells.LRUCell(8, state_units=4)],
}


def model_of(name):
    encoder = rk.Encoder(rk.Recurrent(rk.cells.MinGRUCell(8), return_sequences=True, return_state=True), SOURCES, 5)
    decoder = rk.Decoder(CELLS[name](), TARGETS, embedding_dim=3, attention=rk.attention.Dot())
    model = rk.Seq2Seq(encoder, decoder)
    model((SOURCE, BEFORE))
    shake(model, seed=2)
    return model


@pytest.mark.parametrize("name", CELLS)
def test_they_learn(name):
    model = model_of(name)
    model.compile("adam", rk.training.NextToken(ignore=0), run_eagerly=True)
    before = [np.array(v) for v in model.trainable_variables]
    model.fit((SOURCE, BEFORE), AFTER, verbose=0)
    moved = [np.any(np.array(v) != old) for v, old in zip(model.trainable_variables, before, strict=True)]
    assert all(moved)


@pytest.mark.study
@pytest.mark.parametrize("name", CELLS)
def test_they_are_exported(name, tmp_path):
    rk.export_bundle(model_of(name), tmp_path / "model", saved_model=False)

"""One small bundle, exported once, and a copy to break."""

import shutil

import keras
import numpy as np
import pytest

import keras_rnnkit as rk
from tests.export.conftest import randomised
from tests.export.table import sequential

L = keras.layers


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    model = randomised(sequential(rk.GRU(4, return_sequences=True, learn_initial_state=True), L.Dense(2)))
    path = tmp_path_factory.mktemp("bundles") / "reader"
    rk.export_bundle(model, path, saved_model=False)
    return path


@pytest.fixture(scope="session")
def words(tmp_path_factory):
    """A language model of a few letters: stream, and a loop that samples."""
    vocabulary = rk.text.Vocabulary.of("to be or not")
    tokens = keras.Input((None,), dtype="int32", name="letters")
    y = L.Dense(len(vocabulary))(rk.LSTM(4, return_sequences=True)(L.Embedding(len(vocabulary), 3)(tokens)))
    path = tmp_path_factory.mktemp("bundles") / "words"
    modes = ["stream", "generate"]
    rk.export_bundle(
        randomised(keras.Model(tokens, y)), path, modes=modes, vocabulary=vocabulary, end=0, saved_model=False
    )
    return path


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "reader")


@pytest.fixture
def x():
    return np.random.default_rng(3).normal(size=(2, 6, 3)).astype("float32")

"""Going on after an interruption: bit for bit as if there had been none."""

import itertools
import json
import zipfile

import keras
import numpy as np
import pytest

from keras_rnnkit.training.checkpoint import Checkpoint, CheckpointError, check, resume
from tests.forking import python

TRAIN = """
import os, signal, sys
import keras
import numpy as np
import keras_rnnkit as rk
from keras_rnnkit.data import Windows
from keras_rnnkit import training

def run(path, kill_at, going_on, out):
    keras.utils.set_random_seed(7)
    ids = np.random.default_rng(0).integers(0, 6, size=241)
    model = keras.Sequential([
        keras.Input((None,), batch_size=4, dtype="int32"), keras.layers.Embedding(6, 4),
        rk.LSTM(5, return_sequences=True, stateful=True, dropout=0.3), keras.layers.Dropout(0.2), keras.layers.Dense(6),
    ])
    model.compile(keras.optimizers.Adam(1e-2), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    settings = {"units": 5}
    place = training.resume(model, path, settings) if going_on else None

    class Kill(keras.callbacks.Callback):
        count = 0
        def on_train_batch_end(self, batch, logs=None):
            Kill.count += 1
            if Kill.count == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    keeper = training.Checkpoint(path, settings, every=3, place=place)
    training.fit(model, Windows(ids, 4, 5), epochs=3, callbacks=[keeper, Kill()], place=place, verbose=0)
    states = training.carried_states(model)
    np.savez(out, *model.get_weights(), *[np.asarray(v) for v in model.optimizer.variables], *states)

for number in range(1, len(sys.argv), 4):
    path, kill_at, going_on, out = sys.argv[number : number + 4]
    run(path, int(kill_at), going_on == "resume", out)
"""


def arguments(folder, name, kill_at=0, resumed=False):
    return [folder / f"{name}.ckpt", kill_at, "resume" if resumed else "new", folder / f"{name}.npz"]


def train(*runs):
    """A new process that trains, once for each four arguments."""
    return python("-W", "ignore", "-c", TRAIN, *itertools.chain.from_iterable(runs), with_keras=True)


def test_killed_and_resumed_is_uninterrupted(tmp_path):
    """Twelve batches an epoch; killed after the twentieth, in the middle of the second, two after a checkpoint."""
    assert train(arguments(tmp_path, "killed", kill_at=20)).returncode == -9
    with zipfile.ZipFile(tmp_path / "killed.ckpt") as archive:
        known = json.loads(archive.read("training.json"))
    assert (known["epoch"], known["batch"]) == (1, 6) and len(known["history"]) == 1
    done = train(arguments(tmp_path, "killed", resumed=True), arguments(tmp_path, "whole"))
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "whole.npz") as whole, np.load(tmp_path / "killed.npz") as again:
        assert len(whole.files) > 10
        for name in whole.files:
            np.testing.assert_array_equal(whole[name], again[name])


def test_a_checkpoint_of_other_settings_is_refused():
    known = {"format": 2, "settings": {"units": 5, "cell": "gru"}}
    with pytest.raises(
        CheckpointError, match="of other settings: cell was 'gru' and is 'lstm', layers was None and is 2"
    ):
        check(known, {"units": 5, "cell": "lstm", "layers": 2}, "a.ckpt")
    check(known, {"cell": "gru", "units": 5}, "a.ckpt")
    with pytest.raises(CheckpointError, match="another version"):
        check({"format": 9}, {}, "a.ckpt")


def test_after_an_epoch_training_continues_with_the_next(tmp_path):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    keeper = Checkpoint(tmp_path / "a.ckpt", {})
    model.fit(np.ones((2, 1)), np.ones((2, 1)), epochs=2, callbacks=[keeper], verbose=0)
    place = resume(model, tmp_path / "a.ckpt", {})
    assert (place["epoch"], place["batch"], len(place["history"])) == (2, 0, 2)


class Model:
    """As much of a model as `resume` needs before it reads the file."""

    trainable_variables = ()

    class optimizer:
        build = staticmethod(lambda variables: None)


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 cut off"])
def test_a_missing_or_damaged_checkpoint(content, tmp_path):
    if content is not None:
        (tmp_path / "a.ckpt").write_bytes(content)
    with pytest.raises(CheckpointError, match="There is no checkpoint" if content is None else "or is damaged"):
        resume(Model(), tmp_path / "a.ckpt", {})

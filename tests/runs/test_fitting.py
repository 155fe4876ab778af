"""The training of a run: what stops it, what it leaves, and that it continues as if it had not been stopped."""

import csv
import signal
from dataclasses import dataclass

import keras
import numpy as np
import pytest

import keras_rnnkit as rk
from keras_rnnkit.runs.best import read_best
from keras_rnnkit.runs.errors import Interrupted, RunError, TrainingDiverged
from keras_rnnkit.runs.fitting import compile_with
from keras_rnnkit.runs.folder import RunFolder
from keras_rnnkit.runs.packages import is_installed
from keras_rnnkit.runs.rows import Rows
from keras_rnnkit.runs.run import Run
from keras_rnnkit.runs.settings import TrainingSettings
from keras_rnnkit.settings import SettingsError
from keras_rnnkit.training import CheckpointError
from tests.eager import eagerly

X = np.random.default_rng(0).integers(1, 5, size=(24, 6)).astype("int32")


@dataclass(frozen=True)
class Settings(TrainingSettings):
    checkpoint_every: int = 100


class AtBatch(keras.callbacks.Callback):
    """Calls a function after a batch, counted from 0 over all epochs."""

    def __init__(self, number, function):
        super().__init__()
        self.left, self.function = number, function

    def on_train_batch_end(self, batch, logs=None):
        if self.left == 0:
            self.function()
        self.left -= 1


class SpoilWeights(keras.callbacks.Callback):
    """Makes the weights of the model something else after the third batch."""

    def __init__(self, scale):
        super().__init__()
        self.scale, self.batches = scale, 0

    def on_train_batch_end(self, batch, logs=None):
        self.batches += 1
        if self.batches == 3:
            self.model.set_weights([self.scale * (1 + weight) for weight in self.model.get_weights()])


def train(out, *callbacks, data="data", ends=None, **changes):
    """A run of two epochs of six batches. Returns the model with the best weights, and the logs."""
    settings = Settings(**{"out": out, "epochs": 2, "units": 4, "dropout": 0.5, "patience": 0, **changes})
    with eagerly(), Run(settings, "test") as run:
        run.begin("24 rows", data)
        # Without a recurrent layer, which would take most of the time: what is tested here does not look at the model.
        layers = [keras.layers.Embedding(5, 4), keras.layers.Dropout(0.3, seed=1)]
        model = keras.Sequential([keras.Input((None,), dtype="int32"), *layers, keras.layers.Dense(5)])
        rows, loss = Rows(X, X, 4), rk.training.NextToken()
        history = run.fit(
            model,
            rows,
            loss=loss,
            validation_data=(X, X),
            tokens=24,
            ends=ends,
            callbacks=lambda done: list(callbacks),
        )
        run.restore(model)
        run.complete({})
    return model.get_weights(), history


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return train(tmp_path_factory.mktemp("whole"))


def same(weights, others):
    return all(np.array_equal(a, b) for a, b in zip(weights, others, strict=True))


@pytest.mark.parametrize(("number", "batch"), [(signal.SIGINT, 5), (signal.SIGTERM, 7)])
def test_a_signal_ends_training_after_the_batch_and_resuming_makes_up_for_it(tmp_path, whole, number, batch):
    """Batch 5 is the last of an epoch: the validation is completed first."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(Interrupted) as caught:
        train(tmp_path, AtBatch(batch, lambda: signal.raise_signal(number)))
    assert caught.value.exit_code == 128 + number and caught.value.checkpoint == tmp_path / "training.ckpt"
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert RunFolder(tmp_path).record["status"] == "interrupted"
    weights, history = train(tmp_path, resume=True)
    assert same(weights, whole[0])
    assert [row["val_loss"] for row in history] == [row["val_loss"] for row in whole[1]]


def test_a_second_signal_ends_it_at_once(tmp_path):
    def twice():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted) as caught:
        train(tmp_path, AtBatch(2, twice))
    assert caught.value.checkpoint is None


def test_interrupted_and_resumed_twice(tmp_path, whole):
    interrupt = lambda: signal.raise_signal(signal.SIGINT)  # noqa: E731
    with pytest.raises(Interrupted):
        train(tmp_path, AtBatch(1, interrupt))
    with pytest.raises(Interrupted):
        train(tmp_path, AtBatch(3, interrupt), resume=True)
    assert same(train(tmp_path, resume=True)[0], whole[0])


@pytest.mark.parametrize(("scale", "symptom"), [(np.nan, "the loss is nan"), (1e6, r"and was 1\.[56]")])
def test_divergence_ends_training_with_the_step_and_advice(tmp_path, scale, symptom):
    sentence = rf"Training diverged: .*{symptom}.* at epoch 1, batch 4\. Try a lower --learning-rate \(it is 0.003\)"
    with pytest.raises(TrainingDiverged, match=sentence):
        train(tmp_path, SpoilWeights(scale))
    assert RunFolder(tmp_path).record["status"] == "failed"


def test_a_diverged_run_never_reports_the_best_weights_of_an_older_one(tmp_path):
    """An older run ended well in this folder; the new one diverges before its first epoch ends."""
    train(tmp_path, epochs=1)
    older = RunFolder(tmp_path).record["run"]
    with pytest.raises(TrainingDiverged):
        train(tmp_path, SpoilWeights(np.nan), overwrite=True)
    assert not (tmp_path / "best.npz").exists() and RunFolder(tmp_path).record["run"] != older


def test_best_weights_that_came_from_elsewhere_are_refused(tmp_path):
    """The sabotage: another run's file is put in the place of this run's own while it trains."""
    train(tmp_path / "older", epochs=1)
    foreign = (tmp_path / "older" / "best.npz").read_bytes()

    class Replace(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            (tmp_path / "new" / "best.npz").write_bytes(foreign)

    with pytest.raises(RunError, match="are of another run"):
        train(tmp_path / "new", Replace(), epochs=1)


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    for name in ("a", "b"):
        train(tmp_path / name, epochs=1)
    (tmp_path / "a" / "training.ckpt").replace(tmp_path / "b" / "training.ckpt")
    with pytest.raises(CheckpointError, match="of other settings: run was"):
        train(tmp_path / "b", resume=True)


def test_new_data_with_the_weights_of_another_run(tmp_path):
    weights, _ = train(tmp_path / "old", epochs=1)
    first = {}

    class First(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            first.setdefault("weights", self.model.get_weights())

    train(tmp_path / "new", First(), data="other data", epochs=1, continue_from=tmp_path / "old")
    assert same(first["weights"], weights)
    assert RunFolder(tmp_path / "new").record["continued_from"] == str(tmp_path / "old")
    assert read_best(tmp_path / "old" / "best.npz", RunFolder(tmp_path / "old").record["run"])


def test_the_log_has_a_line_for_each_epoch(tmp_path):
    train(tmp_path, epochs=1)
    train(tmp_path, resume=True, epochs=3)
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert {"loss", "val_loss", "learning_rate", "clip_ratio", "seconds"} <= set(rows[0])


def test_logs_for_tensorboard(tmp_path):
    """Where it is not installed, that is said before anything is trained."""
    if is_installed("tensorboard"):
        train(tmp_path, epochs=1, tensorboard=True)
        assert list((tmp_path / "tensorboard").glob("events*"))
    else:
        with pytest.raises(SettingsError, match=r"needs tensorboard, which is not .*keras-rnnkit\[tensorboard\]"):
            train(tmp_path, epochs=1, tensorboard=True)
        assert not list(tmp_path.iterdir())


def test_epochs_of_some_batches(tmp_path):
    train(tmp_path / "whole", steps_per_epoch=4, epochs=3)
    with pytest.raises(Interrupted):
        train(tmp_path / "parts", AtBatch(5, lambda: signal.raise_signal(signal.SIGINT)), steps_per_epoch=4, epochs=3)
    _, history = train(tmp_path / "parts", steps_per_epoch=4, epochs=3, resume=True)
    with (tmp_path / "whole" / "log.csv").open() as file:
        expected = [float(row["val_loss"]) for row in csv.DictReader(file)]
    assert [row["val_loss"] for row in history] == expected


def test_lines_fit_into_80_columns_and_a_file_gets_no_escape_codes(tmp_path, capsys):
    train(tmp_path, epochs=1)
    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("report")]
    assert lines and max(map(len, lines)) <= 80 and "\x1b" not in "".join(lines)


def test_a_training_that_has_ended_early_is_not_continued(tmp_path, capsys):
    """Its run is interrupted later, such as in the export: resumed, it has the weights that it had."""
    ends = lambda losses: "That is enough." if len(losses) == 2 else None  # noqa: E731
    weights, history = train(tmp_path, epochs=5, ends=ends)
    assert len(history) == 2 and "That is enough.\n" in capsys.readouterr().out
    again, history = train(tmp_path, epochs=5, ends=ends, resume=True)
    assert len(history) == 2 and same(again, weights)
    _, history = train(tmp_path / "patient", epochs=9, learning_rate=1e-9, patience=1)
    count = len(history)
    assert (
        count < 9
        and len(train(tmp_path / "patient", epochs=9, learning_rate=1e-9, patience=1, resume=True)[1]) == count
    )


def test_the_best_epoch_is_a_number_even_after_one_that_is_not(tmp_path):
    from keras_rnnkit.runs.progress import best_epoch

    assert best_epoch([2.0, float("nan"), 1.0]) == 2 and best_epoch([float("nan"), 3.0]) == 1
    assert best_epoch([float("nan")]) is None and best_epoch([1.0, 1.0]) == 0


@pytest.fixture
def default_policy():
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_the_step_of_a_training_is_traced_once(policy, default_policy):
    """Without the variables of the optimizer, TensorFlow would trace it twice. Keras wraps it in mixed_float16."""
    default_policy(policy)

    class Counted(keras.Sequential):
        traces = 0

        def train_step(self, data):
            self.traces += 1
            return super().train_step(data)

    model = Counted([keras.Input((3,)), keras.layers.Dense(1)])
    compile_with(model, rk.training.watched(keras.optimizers.Adam()), "mse")
    model.fit(np.ones((4, 3)), np.ones((4, 1)), batch_size=2, verbose=0)
    assert model.traces == 1

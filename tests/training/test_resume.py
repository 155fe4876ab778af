"""Training that is interrupted anywhere, once or twice: weights, optimizer and history as if it had not been."""

import keras
import numpy as np
import pytest

import keras_rnnkit as rk
from keras_rnnkit import training
from keras_rnnkit.data import Windows
from keras_rnnkit.training.checkpoint import variables

L = keras.layers
B, T, V = 4, 3, 6
WINDOWS = {"ids": np.random.default_rng(0).integers(0, V, size=4 * 3 * 6 + 1), "batch": B, "steps": T}
BATCHES = 6
SETTINGS = {"units": 5}


class Interrupted(Exception):
    pass


class InterruptAt(keras.callbacks.Callback):
    """Raises at a hook, in an epoch, at a batch; the epoch of validations is the current one."""

    def __init__(self, hook=None, epoch=0, batch=None):
        super().__init__()
        self.place, self.epoch = (hook, epoch, batch), -1

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        self.check("on_epoch_begin")

    def on_train_batch_end(self, batch, logs=None):
        self.check("on_train_batch_end", batch)

    def on_test_batch_end(self, batch, logs=None):
        self.check("on_test_batch_end", batch)

    def on_epoch_end(self, epoch, logs=None):
        self.check("on_epoch_end")

    def check(self, hook, batch=None):
        if self.place == (hook, self.epoch, batch):
            raise Interrupted


@pytest.fixture(autouse=True)
def dtype_policy():
    yield
    keras.config.set_dtype_policy("float32")


def model_of(policy="float32", **compile_arguments):
    """Trained eagerly, which takes a third of the time, unless several steps make one execution."""
    keras.utils.set_random_seed(7)
    keras.config.set_dtype_policy(policy)
    layer = rk.GRU(
        5, recurrent_initializer="glorot_uniform", return_sequences=True, stateful=True, dropout=0.3, reset_after=True
    )
    layers = [L.Embedding(V, 4), layer, L.Dropout(0.2), L.Dense(V)]
    model = keras.Sequential([keras.Input((None,), batch_size=B, dtype="int32"), *layers])
    optimizer = training.watched(keras.optimizers.Adam(1e-2, global_clipnorm=0.05))
    metrics = [training.Perplexity()]
    compile_arguments = compile_arguments or {"run_eagerly": True}
    model.compile(training.averaging(optimizer, 0.9), training.NextToken(), metrics=metrics, **compile_arguments)
    return model


def run(path, *interruptions, epochs=3, every=2, first=False, policy="float32", **compile_arguments):
    """Train; interrupted and resumed in a new model as often as there are interruptions. (history, values, steps)"""
    steps = []
    for number, interruption in enumerate([*interruptions, InterruptAt()]):
        model = model_of(policy, **compile_arguments)
        place = training.resume(model, path, SETTINGS) if number else None
        keeper = training.Checkpoint(path, SETTINGS, every, place=place)
        plateau = training.Plateau(0.5, keeper.history)
        others = [training.GradientLog(), plateau, interruption]
        callbacks = [keeper, *others] if first else [*others, keeper]
        data = {"validation_data": Windows(WINDOWS["ids"][:37], B, T).dataset(), "verbose": 0, "shuffle": False}
        try:
            training.fit(model, Windows(**WINDOWS), epochs, callbacks, place, **data)
        except Interrupted:
            steps.append(int(model.optimizer.iterations))
            continue
        return keeper.history, [np.array(v) for v in variables(model)], steps
    raise AssertionError("The last run was interrupted too.")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    history, values, _ = run(tmp_path_factory.mktemp("whole") / "a.ckpt")
    assert len(history) == 3 and set(history[0]) == {
        *("loss", "perplexity", "val_loss", "val_perplexity"),
        *("gradient_norm", "largest_gradient_norm", "clip_ratio"),
    }
    return history, values


IN_VALIDATION = InterruptAt("on_test_batch_end", epoch=0, batch=1)
IN_TRAINING = InterruptAt("on_train_batch_end", epoch=1, batch=3)
PLACES = {
    "in validation, then in the epoch after": ([IN_VALIDATION, IN_TRAINING], False),
}
STUDIES = {
    "when an epoch ends, a callback after the checkpoint": ([InterruptAt("on_epoch_end", epoch=1)], True),
    "in an epoch, then in the rest of it": ([IN_TRAINING, InterruptAt("on_train_batch_end", epoch=1, batch=1)], False),
    "in training": ([IN_TRAINING], False),
    "in validation": ([IN_VALIDATION], True),
    "in the same validation, twice": ([IN_VALIDATION, IN_VALIDATION], False),
    "before anything is written of the epoch": ([InterruptAt("on_train_batch_end", epoch=1, batch=0)], True),
    "after the last batch": ([InterruptAt("on_train_batch_end", epoch=1, batch=BATCHES - 1)], False),
    "when an epoch ends, a callback before the checkpoint": ([InterruptAt("on_epoch_end", epoch=1)], False),
}


@pytest.mark.parametrize("name", [*PLACES, *(pytest.param(name, marks=pytest.mark.study) for name in STUDIES)])
def test_a_resumed_run_is_the_uninterrupted_one(name, whole, tmp_path):
    interruptions, first = {**PLACES, **STUDIES}[name]
    history, values, _ = run(tmp_path / "a.ckpt", *interruptions, first=first)
    assert history == whole[0]
    for value, expected in zip(values, whole[1], strict=True):
        np.testing.assert_array_equal(value, expected)
    assert [path.name for path in tmp_path.iterdir()] == ["a.ckpt"]


def test_with_four_steps_in_an_execution(tmp_path):
    """Six batches in two executions. A file is due every three, and is written after the first execution alone: after
    the second, which Keras counts as four batches too, the validation must be repeated."""
    arguments = {"steps_per_execution": 4, "every": 3, "epochs": 2, "first": True}
    expected = run(tmp_path / "whole.ckpt", **arguments)
    interruption = InterruptAt("on_train_batch_end", epoch=1, batch=7)
    history, values, steps = run(tmp_path / "a.ckpt", interruption, **arguments)
    assert steps == [12] and history == expected[0]
    for value, other in zip(values, expected[1], strict=True):
        np.testing.assert_array_equal(value, other)


@pytest.mark.parametrize("policy", ["bfloat16", pytest.param("mixed_float16", marks=pytest.mark.study)])
def test_in_half_precision(policy, tmp_path):
    """bfloat16 weights and states, and an optimizer that Keras wraps."""
    arguments = {"policy": policy, "epochs": 2, "run_eagerly": True}
    expected = run(tmp_path / "whole.ckpt", **arguments)
    resumed = run(tmp_path / "a.ckpt", IN_TRAINING, **arguments)
    assert len(expected[0]) == 2 and all(row["gradient_norm"] > 0 for row in expected[0])
    assert resumed[0] == expected[0]
    for value, other in zip(resumed[1], expected[1], strict=True):
        np.testing.assert_array_equal(value.astype("float32"), other.astype("float32"))


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    model = model_of()
    model.optimizer.build(model.trainable_variables)
    keeper = training.Checkpoint(tmp_path / "a.ckpt", SETTINGS)
    keeper.set_model(model)
    keeper.save(1, 0)
    other = keras.Sequential([keras.Input((None,), dtype="int32"), L.Embedding(V, 4)])
    other.compile("sgd", "mse")
    with pytest.raises(training.CheckpointError, match="of another model or optimizer: it has .* differ from number 1"):
        training.resume(other, tmp_path / "a.ckpt", SETTINGS)
    unbuilt = keras.Sequential([L.Dense(1)])
    unbuilt.compile("sgd", "mse")
    with pytest.raises(training.CheckpointError, match="has no weights yet. Call it on a batch"):
        training.resume(unbuilt, tmp_path / "a.ckpt", SETTINGS)


def test_a_place_beyond_the_epoch_is_refused():
    with pytest.raises(ValueError, match="batch 9 of an epoch of 6 batches"):
        training.fit(model_of(), Windows(**WINDOWS), 2, place={"epoch": 0, "batch": 9, "history": [], "metrics": []})


@pytest.mark.parametrize("names", ["c", "ca", "ac"])
def test_a_checkpoint_has_the_weights_and_not_their_averages(names, tmp_path, rng):
    """`model.fit` ends by putting the averages into the model, before or after the callback that takes them back."""

    def compiled():
        model = keras.Sequential([keras.Input((2,)), L.Dense(1)])
        model.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5), "mse", run_eagerly=True)
        return model

    model, latest = compiled(), []
    note = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: latest.append(model.get_weights()))
    callbacks = {"c": training.Checkpoint(tmp_path / "a.ckpt", {}), "a": training.AveragedWeights()}
    x, y = rng.normal(size=(8, 2)), rng.normal(size=(8, 1))
    model.fit(x, y, 4, callbacks=[note, *(callbacks[name] for name in names)], verbose=0)
    again = compiled()
    training.resume(again, tmp_path / "a.ckpt", {})
    for weight, expected in zip(again.get_weights(), latest[-1], strict=True):
        np.testing.assert_array_equal(weight, expected)

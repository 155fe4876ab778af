"""Gradient norms in the logs, what clipping does, and what is saved of an optimizer that was extended."""

import keras
import numpy as np
import pytest

import keras_rnnkit as rk
from keras_rnnkit import keras_internals, training
from keras_rnnkit.training.gradients import counters_of
from keras_rnnkit.training.optimizers import applied
from tests.covering import studied
from tests.forking import python

L = keras.layers
TOKENS = np.array([[1, 1, 1, 2], [1, 3, 1, 1]])


def embedding_model(optimizer, jit=False):
    """Its gradient is easy: each token adds a row of ones for each time it occurs."""
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((4,), dtype="int32"), L.Embedding(5, 2), L.Flatten()])
    model.compile(optimizer, Sum(), jit_compile=jit)
    return model


class Sum(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return keras.ops.sum(y_pred, axis=-1) * 2  # Keras takes the mean over two rows


@pytest.mark.parametrize("jit", [False, True])
def test_rows_of_the_same_token_are_one_row_of_the_gradient(jit):
    """Tokens 1, 2, 3 occur six, one and one times: the norm is sqrt(2 (36 + 1 + 1)), not sqrt(2 * 8)."""
    optimizer = training.watched(keras.optimizers.SGD(1.0, global_clipnorm=2.0))
    model = embedding_model(optimizer, jit)
    before = model.get_weights()[0]
    logs = model.fit(TOKENS, TOKENS, callbacks=[training.GradientLog()], verbose=0).history
    norm = np.sqrt(2 * 38)
    assert logs["gradient_norm"] == [pytest.approx(norm)] and logs["clip_ratio"] == [1.0]
    step = np.array([0, 6, 1, 1, 0])[:, None] * np.ones(2) * 2.0 / norm
    np.testing.assert_allclose(before - model.get_weights()[0], step, atol=1e-6)


@pytest.mark.parametrize("name", ["Adam", "RMSprop", "Adagrad", "SGD"])
def test_every_optimizer_sees_the_gradient_that_the_definition_has(name):
    """Keras' Adam squares each row of a token by itself; ours is that of the dense gradient."""
    sparse, dense = (training.watched(getattr(keras.optimizers, name)(0.1)) for _ in range(2))
    model, weight = embedding_model(sparse), keras.Variable(np.zeros((5, 2), "float32"))
    weight.assign(model.get_weights()[0])
    gradient = np.array([0, 6, 1, 1, 0])[:, None] * np.ones((5, 2), "float32")
    for _ in range(3):
        model.train_on_batch(TOKENS, TOKENS)
        dense.apply([keras.ops.convert_to_tensor(gradient, "float32")], [weight])
    np.testing.assert_allclose(model.get_weights()[0], np.asarray(weight), atol=1e-6)


@pytest.mark.parametrize(
    ("limit", "clipped"),
    [
        ({"global_clipnorm": 7.0}, False),
        ({"global_clipnorm": 4.9}, True),
        ({"clipnorm": 4.1}, False),
        ({"clipnorm": 3.9}, True),
        ({"clipvalue": 4.1}, False),
        ({"clipvalue": 3.9}, True),
        ({}, False),
    ],
)
def test_the_clip_ratio_is_of_any_kind_of_clipping(limit, clipped):
    """Gradients (3, 0) and (-4,): norms 3, 4 and 5."""
    optimizer = training.watched(keras.optimizers.SGD(1.0, **limit))
    weights = [keras.Variable([0.0, 0.0]), keras.Variable([0.0])]
    optimizer.apply([keras.ops.convert_to_tensor(g) for g in ([3.0, 0.0], [-4.0])], weights)
    moved = np.concatenate([-np.asarray(weight) for weight in weights])
    assert (np.abs(moved - [3, 0, -4]).max() > 1e-3) == clipped
    assert float(counters_of(optimizer)["clipped"]) == clipped


def test_a_log_without_a_watched_optimizer_is_refused():
    model = embedding_model("sgd")
    with pytest.raises(ValueError, match=r"Received: an optimizer SGD that is not watched"):
        model.fit(TOKENS, TOKENS, callbacks=[training.GradientLog()], verbose=0)
    with pytest.raises(ValueError, match=r"use_ema=True. Received: SGD without"):
        model.fit(TOKENS, TOKENS, callbacks=[training.AveragedWeights()], verbose=0)


@pytest.fixture
def float32_after():
    yield
    keras.config.set_dtype_policy("float32")


def test_an_optimizer_that_compile_wraps_is_logged_and_averaged(float32_after, rng):
    """mixed_float16: the averages are validated, and the norms logged are those of the gradients that are applied."""
    keras.config.set_dtype_policy("mixed_float16")
    x, y = rng.normal(size=(12, 3)).astype("float32"), rng.normal(size=(12, 1)).astype("float32")
    model = keras.Sequential([keras.Input((3,)), L.Dense(1, dtype="float32")])
    model.compile(training.averaging(training.watched(keras.optimizers.SGD(0.1, global_clipnorm=0.3)), 0.9), "mse")
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    callbacks = [training.GradientLog(), training.AveragedWeights()]
    history = model.fit(x, y, 4, 2, callbacks=callbacks, validation_data=(x, y), verbose=0).history
    own = [np.array(weight) for weight in model.get_weights()]
    with training.averaged(model):
        averages = model.get_weights()
        judged = model.evaluate(x, y, verbose=0)
    assert history["val_loss"][-1] == pytest.approx(judged, rel=1e-6)
    assert all(np.abs(a - b).max() > 1e-4 for a, b in zip(own, averages, strict=True))
    assert all(0 < norm < 10 for norm in history["gradient_norm"]) and history["clip_ratio"][0] > 0


def stock(name):
    return getattr(keras.optimizers, name)(0.01, use_ema=True, ema_momentum=0.9)


def extended(optimizer):
    return training.synchronized(training.averaging(training.watched(optimizer), 0.9))


LOAD = """
import sys, keras, numpy as np
keras.config.set_dtype_policy(sys.argv[3])  # Keras wraps an optimizer again only under the policy that it had
model = keras.models.load_model(sys.argv[1])
np.savez(sys.argv[2], *[np.asarray(v) for v in model.optimizer.variables])
print(type(model.optimizer).__name__, "keras_rnnkit" in sys.modules)
"""


@studied("policy", ["float32", "mixed_float16"], ["mixed_float16"])
def test_the_state_of_an_extended_optimizer_is_saved(policy, float32_after, tmp_path, rng):
    """In a .keras file, which Keras alone loads in a new process: iterations, moments, averages and the loss scale."""
    keras.config.set_dtype_policy(policy)
    model = keras.Sequential([keras.Input((3,)), L.Dense(2)])
    model.compile(extended(keras.optimizers.Adam(0.01)), "mse", run_eagerly=True)
    model.optimizer.initial_scale = 1.0  # otherwise the first step overflows
    model.fit(rng.normal(size=(8, 3)), rng.normal(size=(8, 2)), 4, verbose=0)
    model.save(tmp_path / "model.keras")
    files = [tmp_path / "model.keras", tmp_path / "values.npz"]
    done = python("-W", "error::UserWarning", "-c", LOAD, *files, policy)
    name = "Adam" if policy == "float32" else "LossScaleOptimizer"
    assert done.returncode == 0 and done.stdout == f"{name} False\n", done.stderr
    expected = [np.asarray(variable) for variable in model.optimizer.variables]
    with np.load(tmp_path / "values.npz") as values:
        assert len(values.files) == len(expected)
        for value, variable in zip(values.values(), expected, strict=True):
            np.testing.assert_array_equal(value, variable)
    again = rk.load_model(tmp_path / "model.keras").optimizer
    assert int(again.iterations) == 2
    assert counters_of(training.watched(training.averaging(again, 0.9))).keys() == {
        *("steps", "norm", "largest", "clipped")
    }


@pytest.mark.parametrize("way", ["to stock", "from stock"])
def test_states_fit_keras_own_optimizer_both_ways(way, tmp_path, rng):
    """Weight files and TensorFlow's checkpoints."""
    import tensorflow as tf

    x, y = rng.normal(size=(8, 3)), rng.normal(size=(8, 2))

    def model_of(optimizer):
        model = keras.Sequential([keras.Input((3,)), L.Dense(2)])
        model.compile(optimizer, "mse", run_eagerly=True)
        model.fit(x, y, 4, verbose=0)
        return model

    first, second = model_of(stock("Adam")), model_of(extended(stock("Adam")))
    first, second = (second, first) if way == "to stock" else (first, second)
    second.optimizer.set_weights([np.asarray(v) for v in first.optimizer.variables])
    for a, b in zip(first.optimizer.variables, second.optimizer.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    first.fit(x, y, 4, verbose=0)
    path = tf.train.Checkpoint(model=first, optimizer=first.optimizer).save(str(tmp_path / "tf"))
    tf.train.Checkpoint(model=second, optimizer=second.optimizer).restore(path).assert_consumed()
    assert int(second.optimizer.iterations) == int(first.optimizer.iterations) == 4


def test_extending_twice_changes_nothing():
    optimizer = training.watched(training.watched(extended(keras.optimizers.SGD(0.1))))
    names = [cls.__name__ for cls in type(applied(optimizer)).__mro__]
    assert names.count("Watching") == names.count("Averaging") == names.count("Synchronizing") == 1
    assert names[0] == "SGD"


def test_averages_cannot_begin_in_the_middle():
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build([keras.Variable([0.0])])
    with pytest.raises(ValueError, match="was built without averages.*before the model is trained"):
        training.averaging(optimizer, 0.9)
    watched = training.watched(optimizer)
    watched.apply([keras.ops.ones(1)], watched._trainable_variables)
    assert float(counters_of(watched)["norm"]) == 1.0 and keras_internals.averages(watched) == []

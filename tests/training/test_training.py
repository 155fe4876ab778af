"""Carried states, clipping, schedules, metrics."""

import keras
import numpy as np
import pytest

import keras_rnnkit as rk
from keras_rnnkit.data import Windows
from keras_rnnkit.training import gradients, metrics, schedules, state

L = keras.layers
B, T, V = 4, 5, 6


def language_model(batch=B, cell=rk.GRU, units=8, stateful=True):
    return keras.Sequential(
        [
            keras.Input((None,), batch_size=batch, dtype="int32"),
            L.Embedding(V, 4),
            cell(units, return_sequences=True, stateful=stateful),
            L.Dense(V),
        ]
    )


def compiled(model, optimizer=None):
    """For a few steps, which take less time than the graph of one."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer or keras.optimizers.Adam(1e-2), loss, metrics=[metrics.Perplexity()], run_eagerly=True)
    return model


@pytest.fixture
def ids(rng):
    return rng.integers(0, V, size=101)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_states_go_on_through_an_epoch_and_start_anew_with_the_next(ids):
    model, seen = compiled(language_model()), []

    class Look(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            seen.append((batch, np.abs(state.carried_states(self.model)[0]).max()))

    model.fit(Windows(ids, B, T).dataset(), epochs=2, callbacks=[state.CarriedState(), Look()], verbose=0)
    assert all((size == 0) == (batch == 0) for batch, size in seen)


def test_a_validation_leaves_the_states_of_training_alone(ids):
    model, windows = compiled(language_model()), Windows(ids, B, T)
    carried = state.CarriedState()
    carried.set_model(model)
    model.predict(next(windows.batches())[0], verbose=0)
    before = state.carried_states(model)
    model.evaluate(windows.dataset(), callbacks=[carried], verbose=0)
    np.testing.assert_array_equal(state.carried_states(model)[0], before[0])
    assert np.abs(before[0]).max() > 0


def test_a_batch_of_another_size_has_states_of_its_own(ids):
    model, windows = compiled(language_model()), Windows(ids, B, T)
    model.fit(windows.dataset(), steps_per_epoch=3, verbose=0)
    before = state.carried_states(model)
    with state.other_rows(model, 1):
        alone = model.evaluate(Windows(ids, 1, 20).dataset(), verbose=0, return_dict=True)
        assert state.carried_states(model)[0].shape[0] == 1
    np.testing.assert_array_equal(state.carried_states(model)[0], before[0])
    model.fit(windows.dataset(), steps_per_epoch=2, verbose=0)
    assert np.isfinite(alone["perplexity"])


def test_the_gradient_ends_where_the_batch_begins(ids):
    """A step on the second window is a step on that window from fixed states."""
    model, other = language_model(), language_model()
    other.set_weights(model.get_weights())
    (x1, y1), (x2, y2) = list(Windows(ids, B, T).batches())[:2]
    for each in (model, other):
        compiled(each, keras.optimizers.SGD(0.5))
    model.predict(x1, verbose=0)
    fixed = state.carried_states(model)
    model.train_on_batch(x2, y2)
    state.set_states(other, fixed)
    other.train_on_batch(x2, y2)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-7)
    assert not np.array_equal(y1, y2)


def test_a_model_without_carried_states_is_told_so():
    with pytest.raises(ValueError, match="has no layer that carries its states. Build.*stateful=True"):
        state.reset_states(language_model(stateful=False))


def test_resets_in_the_data_start_a_row_anew(ids):
    ids = np.where(np.arange(len(ids)) % 7 == 0, 0, ids)
    x = {
        name: keras.Input((None,), batch_size=B, name=name, dtype=kind)
        for name, kind in (("tokens", "int32"), ("reset", "bool"))
    }
    y = rk.GRU(4, return_sequences=True, stateful=True)(L.Embedding(V, 3)(x["tokens"]), reset_mask=x["reset"])
    model = keras.Model(x, y)
    whole = [model.predict(given, verbose=0) for given, _ in Windows(ids, B, T, document_end=0).batches()]
    for row, (given, _) in enumerate(Windows(ids, B, T, document_end=0).batches()):
        begins = np.argwhere(given["reset"])
        for b, t in begins[:2]:
            alone = {"tokens": np.repeat(given["tokens"][b : b + 1, t:], B, 0)}
            alone["reset"] = np.repeat(given["reset"][b : b + 1, t:], B, 0)
            np.testing.assert_allclose(model.predict(alone, verbose=0)[0], whole[row][b, t:], atol=1e-6)
        if row == 2:
            break


CLUE = 6


def clued(rng, count):
    """Rows [count, 3 * CLUE]: a clue, then noise, then a question that is answered by the clue."""
    ids = rng.integers(3, V, size=(count, 3 * CLUE))
    ids[:, 0] = rng.integers(0, 2, size=count)
    ids[:, -1] = 2
    return ids


@pytest.mark.parametrize("carries", [True, False])
def test_a_clue_before_the_window_is_known_only_with_carried_states(carries, rng):
    model = keras.Sequential(
        [
            keras.Input((None,), batch_size=32, dtype="int32"),
            L.Embedding(V, 8),
            rk.LSTM(24, return_sequences=True, stateful=True),
            L.Dense(2),
        ]
    )
    model.compile(keras.optimizers.Adam(1e-2), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    keras.utils.set_random_seed(1)
    initial = [keras.initializers.GlorotUniform(seed=i)(w.shape) for i, w in enumerate(model.weights)]
    model.set_weights([np.asarray(w) for w in initial])
    for training in (True, False):
        right = []
        for _ in range(10 if not training else 150 if carries else 20):
            rows = clued(rng, 32)
            state.reset_states(model)
            for begin in range(0, 3 * CLUE, CLUE):
                if not carries:
                    state.reset_states(model)
                x = rows[:, begin : begin + CLUE]
                y, weight = np.repeat(rows[:, :1], CLUE, 1), np.ones((32, CLUE))
                if training:  # every step is asked for the clue, so that the gradient need not go further than it can
                    model.train_on_batch(x, y, sample_weight=weight)
                else:
                    guessed = model.predict_on_batch(x)[:, -1].argmax(-1)
            if not training:
                right.append(np.mean(guessed == rows[:, 0]))
    assert (np.mean(right) > 0.95) if carries else (0.3 < np.mean(right) < 0.7)


def test_gradient_norms_and_clipping_are_logged(ids):
    model = compiled(language_model(), gradients.watched(keras.optimizers.SGD(0.1, global_clipnorm=0.05)))
    history = model.fit(
        Windows(ids, B, T).dataset(), epochs=2, callbacks=[state.CarriedState(), gradients.GradientLog()], verbose=0
    ).history
    assert all(norm > 0.05 for norm in history["gradient_norm"])
    assert all(0.5 < ratio <= 1 for ratio in history["clip_ratio"])
    assert all(a >= b for a, b in zip(history["largest_gradient_norm"], history["gradient_norm"], strict=True))


def test_clipping_cuts_the_whole_gradient(rng):
    gradient = [rng.normal(size=(3, 2)).astype("float32"), rng.normal(size=4).astype("float32")]
    weights = [keras.Variable(np.zeros_like(g)) for g in gradient]
    gradients.watched(keras.optimizers.SGD(1.0, global_clipnorm=0.1)).apply(
        [keras.ops.convert_to_tensor(g) for g in gradient], weights
    )
    norm = np.sqrt(sum(np.sum(g**2) for g in gradient))
    for g, w in zip(gradient, weights, strict=True):
        np.testing.assert_allclose(-0.1 * g / norm, np.asarray(w), rtol=1e-5)


def test_a_watched_optimizer_is_saved_as_the_one_it_is(tmp_path, ids):
    model = compiled(language_model(), gradients.watched(keras.optimizers.Adam(1e-3)))
    model.fit(Windows(ids, B, T).dataset(), steps_per_epoch=2, verbose=0)
    model.save(tmp_path / "model.keras")
    assert type(rk.load_model(tmp_path / "model.keras").optimizer) is keras.optimizers.Adam


def test_the_classic_schedule():
    rate = schedules.schedule("halving", 1.0, steps=100, epochs=13, after=4)
    by_epoch = [float(rate(100 * epoch + 99)) for epoch in range(13)]
    assert by_epoch[:4] == [1.0] * 4 and by_epoch[4:7] == [0.5, 0.25, 0.125] and by_epoch[12] == 2.0**-9
    slow = schedules.AfterEpoch(2e-3, after=10, factor=0.97, steps=10)
    np.testing.assert_allclose(float(slow(115)), 2e-3 * 0.97**2, rtol=1e-6)


@pytest.mark.parametrize("name", schedules.SCHEDULES)
def test_schedules_survive_being_saved(name):
    rate = schedules.schedule(name, 0.1, steps=10, epochs=5, warmup=4)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(rate))
    for step in (0, 3, 17, 40):
        np.testing.assert_allclose(float(again(step)), float(rate(step)))
    assert float(rate(0)) < float(rate(3))


def test_an_unknown_schedule():
    with pytest.raises(ValueError, match="Received: schedule='step'. Expected one of 'constant', 'halving'"):
        schedules.schedule("step", 1.0, 1, 1)


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-5])
def test_rmsprop_goes_as_far_for_small_gradients(scale, rng):
    gradient, weight = rng.normal(size=5).astype("float32"), keras.Variable(np.zeros(5), dtype="float32")
    optimizer = schedules.OPTIMIZERS["rmsprop"](0.01)
    optimizer.apply([keras.ops.convert_to_tensor(scale * gradient)], [weight])
    expected = -0.01 * np.sign(gradient) / np.sqrt(1 - 0.95)  # x -= rate g / sqrt(0.05 g g)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(weight), expected, rtol=1e-2)


def test_weights_between_bounds():
    model = language_model()
    schedules.initialize_uniformly(model, 0.1, seed=2)
    for weight in model.get_weights():
        assert np.abs(weight).max() <= 0.1 and np.abs(weight).min() < np.abs(weight).max()


@pytest.mark.parametrize("cuts", [[12], [5, 7], [1, 1, 10]])
def test_perplexity_is_the_same_however_the_text_is_cut(cuts, rng):
    y, logits = rng.integers(0, V, size=(3, 12)), rng.normal(size=(3, 12, V)).astype("float32")
    weight = (rng.random((3, 12)) < 0.7).astype("float32")
    metric, begin = metrics.Perplexity(), 0
    for length in cuts:
        part = slice(begin, begin + length)
        metric.update_state(y[:, part], logits[:, part], sample_weight=weight[:, part])
        begin += length
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    nats = -np.take_along_axis(log_p, y[..., None], -1)[..., 0]
    np.testing.assert_allclose(float(metric.result()), np.exp((nats * weight).sum() / weight.sum()), rtol=1e-5)


def test_a_perfect_model_has_perplexity_one():
    y = np.array([[0, 2, 1]])
    sure = np.where(np.arange(V) == y[..., None], 100.0, 0.0).astype("float32")
    ignorant = np.full((1, 3, 4), 0.25, "float32")
    perfect, bits = metrics.Perplexity(), metrics.BitsPerCharacter(from_logits=False)
    perfect.update_state(y, sure)
    bits.update_state(y, ignorant)
    assert float(perfect.result()) == 1.0 and float(bits.result()) == pytest.approx(2.0)


def test_masks_are_respected():
    model = keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            L.Embedding(V, 3, mask_zero=True),
            L.GRU(3, return_sequences=True),
            L.Dense(V),
        ]
    )
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=[metrics.CrossEntropy()])
    x = np.array([[1, 2, 0, 0], [3, 4, 5, 1]])
    whole = model.evaluate(x, x, verbose=0, return_dict=True)["cross_entropy"]
    y = np.asarray(model(x))
    log_p = y - np.log(np.exp(y).sum(-1, keepdims=True))
    nats = -np.take_along_axis(log_p, x[..., None], -1)[..., 0][x > 0]
    assert whole == pytest.approx(nats.mean(), rel=1e-5)


def test_the_rate_falls_where_nothing_grows_better():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1.0), "mse")
    plateau = rk.training.Plateau(0.5)
    plateau.set_model(model)
    rates = []
    for loss in (3.0, 2.0, 2.0, 2.5, 1.0):
        plateau.on_epoch_end(0, {"val_loss": loss})
        rates.append(float(model.optimizer.learning_rate))
    assert rates == [1.0, 1.0, 0.5, 0.25, 0.25]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("ignore", [None, 0])
def test_next_token_is_keras_own_cross_entropy(ignore, masked, rng):
    mask = rng.random((4, 5)) < 0.7
    logits = keras.ops.convert_to_tensor(rng.normal(size=(4, 5, 7)).astype("float32") * 3)
    targets = rng.integers(0, 3, size=(4, 5))
    stock = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=ignore)
    ours = rk.training.NextToken(ignore)

    def slope(loss):
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(logits)
            y = logits * 1.0
            if masked:
                y._keras_mask = keras.ops.convert_to_tensor(mask)
            value = loss(targets, y)
        return float(value), tape.gradient(value, logits).numpy()

    (a, da), (b, db) = slope(ours), slope(stock)
    assert a == pytest.approx(b, rel=1e-5)
    assert da == pytest.approx(db, abs=1e-6)
    again = keras.losses.deserialize(keras.losses.serialize(ours))
    assert again.ignore == ignore


def test_averaged_weights_are_judged_and_training_goes_on_from_the_others(rng):
    """Against the definition: a = 0.5 a + 0.5 w after each of three steps, begun with the first weight."""
    x, y = rng.normal(size=(3, 1)).astype("float32"), rng.normal(size=(3, 1)).astype("float32")

    def trained(*epochs):
        """Weights after each step, the last logs, and the model, of several calls of fit."""
        model = keras.Sequential([keras.Input((1,)), L.Dense(1, use_bias=False, kernel_initializer="ones")])
        model.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5), "mse")
        seen, logs = [], {}
        note = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: seen.append(model.get_weights()[0].copy()),
            on_epoch_end=lambda epoch, known: logs.update(known),
        )
        known = {"batch_size": 1, "validation_data": (x, y), "shuffle": False, "verbose": 0}
        for count in epochs:
            model.fit(x, y, epochs=count, callbacks=[rk.training.AveragedWeights(), note], **known)
        return seen, logs, model

    seen, logs, model = trained(1)
    average = 0.25 * seen[0] + 0.25 * seen[1] + 0.5 * seen[2]
    assert logs["val_loss"] == pytest.approx(float(np.mean((x @ average - y) ** 2)), rel=1e-5)
    assert np.array_equal(model.get_weights()[0], seen[2])
    with rk.training.averaged(model):
        np.testing.assert_allclose(model.get_weights()[0], average, rtol=1e-5)
    assert np.array_equal(model.get_weights()[0], seen[2])
    assert np.array_equal(trained(1, 1, 1)[0], trained(3)[0])


def test_an_average_begins_with_the_later_part_of_the_first_steps(rng, tmp_path):
    x, y = rng.normal(size=(20, 1)).astype("float32"), rng.normal(size=(20, 1)).astype("float32")
    model = keras.Sequential([keras.Input((1,)), L.Dense(1, use_bias=False, kernel_initializer="ones")])
    model.compile(rk.training.averaging(gradients.watched(keras.optimizers.SGD(0.1)), 0.6), "mse")
    seen, average = [], 0
    note = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(model.get_weights()[0].copy())
    )
    model.fit(x, y, batch_size=1, callbacks=[rk.training.AveragedWeights(), note], shuffle=False, verbose=0)
    for t, weight in enumerate(seen):
        momentum = min(0.6, t / (t + 9))
        average = momentum * average + (1 - momentum) * weight
    with rk.training.averaged(model):
        np.testing.assert_allclose(model.get_weights()[0], average, rtol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = rk.load_model(tmp_path / "model.keras").optimizer
    assert type(loaded) is keras.optimizers.SGD and loaded.ema_momentum == 0.6
    with pytest.raises(ValueError, match="from 0 to below 1. Received: momentum=1"):
        rk.training.averaging(keras.optimizers.SGD(), 1)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow traces a step")
def test_the_first_step_is_traced_once(ids):
    """`model.fit` traces it twice, because the optimizer makes its variables in it."""

    class Counted(keras.Sequential):
        traced = 0

        def train_step(self, data):
            self.traced += 1
            return super().train_step(data)

    model = Counted([keras.Input((None,), dtype="int32"), L.Embedding(V, 4), L.Dense(V)])
    model.compile("adam", rk.training.NextToken())
    rk.training.fit(model, Windows(ids, B, T), epochs=1, verbose=0)
    assert model.traced == 1


def test_an_optimizer_waits_for_layers_that_are_not_built(ids):
    model = keras.Sequential([L.Embedding(V, 4), L.Dense(V)])
    model.compile("sgd", rk.training.NextToken(), run_eagerly=True)
    rk.training.fit(model, Windows(ids, B, T), epochs=1, verbose=0)
    assert len(model.optimizer.variables) == 2 and len(model.trainable_variables) == 3

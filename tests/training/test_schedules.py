"""Learning rates that fall where nothing improves: with any order of callbacks, after a warm-up, and when resumed."""

import keras
import numpy as np
import pytest

import keras_rnnkit as rk
from keras_rnnkit import training

L = keras.layers
DATA = {"x": np.ones((4, 1)), "y": np.ones((4, 1)), "batch_size": 4, "verbose": 0}


def model_of(rate):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((1,)), L.Dense(1)])
    model.compile(keras.optimizers.SGD(rate), "mse", run_eagerly=True)
    return model


class Script(keras.callbacks.Callback):
    """Replaces the validation loss of each epoch, and notes the rate that the epoch had."""

    def __init__(self, losses):
        super().__init__()
        self.losses, self.rates = losses, []

    def on_epoch_begin(self, epoch, logs=None):
        self.rates.append(float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)))

    def on_epoch_end(self, epoch, logs=None):
        logs["val_loss"] = self.losses[epoch]


LOSSES = [3.0, 2.0, 2.0, 2.5, 1.0, 1.5]
RATES = [0.1, 0.1, 0.1, 0.05, 0.025, 0.025]


def run(path, order, epochs=6, resumed=False, rate=0.1):
    """The rates of all epochs, with the callbacks in an order."""
    model = model_of(rate)
    place = training.resume(model, path, {}) if resumed else None
    keeper = training.Checkpoint(path, {}, place=place)
    script = Script(LOSSES)
    callbacks = {"c": keeper, "p": training.Plateau(0.5, keeper.history), "s": script}
    first = place["epoch"] if place else 0
    model.fit(**DATA, initial_epoch=first, epochs=epochs, callbacks=[callbacks[letter] for letter in order])
    return script.rates, [row["val_loss"] for row in keeper.history]


@pytest.mark.parametrize("order", ["scp", "spc", "csp"])
def test_the_order_of_callbacks_does_not_matter(order, tmp_path):
    assert run(tmp_path / "whole.ckpt", order) == (pytest.approx(RATES), LOSSES)
    first, _ = run(tmp_path / "a.ckpt", order, epochs=3)
    rest, losses = run(tmp_path / "a.ckpt", order, resumed=True)
    assert [*first, *rest] == pytest.approx(RATES) and losses == LOSSES


@pytest.mark.parametrize("order", ["scp", "spc"])
def test_a_plateau_lowers_a_rate_that_rises_first(order, tmp_path):
    """One step an epoch: the warm-up is over with the second. The rate is a schedule, which no checkpoint has."""
    rate = training.schedule("plateau", 0.1, steps=1, epochs=6, warmup=2)
    rates = [0.05, *RATES[1:]]
    assert run(tmp_path / "whole.ckpt", order, rate=rate)[0] == pytest.approx(rates)
    first, _ = run(tmp_path / "a.ckpt", order, epochs=4, rate=rate)
    rest, _ = run(tmp_path / "a.ckpt", order, resumed=True, rate=rate)
    assert [*first, *rest] == pytest.approx(rates)


def test_a_lowered_schedule_is_the_one_that_trains():
    """The compiled step of before had the old rate in it."""
    model = model_of(training.WarmUp(0.1, 1))
    script = Script([1.0, 1.0, 1.0])
    model.fit(**DATA, epochs=3, callbacks=[script, training.Plateau(0.0)])
    assert script.rates == pytest.approx([0.1, 0.1, 0.0])
    before = model.get_weights()
    model.fit(**DATA)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_loss_that_is_no_number_is_no_improvement():
    assert training.schedules.plateaus([2.0, float("nan"), 1.0]) == 1


def test_a_monitor_that_is_not_logged():
    with pytest.raises(ValueError, match="Plateau monitors 'val_loss', and the logs have 'loss'. Give validation_data"):
        model_of(0.1).fit(**DATA, callbacks=[training.Plateau()])


def sampling_model():
    decoder = rk.Decoder(rk.GRU(4), 9, 3, scheduled_sampling=True, seed=0)
    model = rk.Seq2Seq(rk.Encoder(rk.GRU(4), 9, 3), decoder)
    model.compile("sgd", training.NextToken(ignore=0), steps_per_execution=4)
    return model


def test_sampling_rises_by_batches_in_a_model_that_was_not_called(rng):
    """Ten batches in executions of four, twice: the fraction of the first batch of each, and at the end that of all."""
    tokens = rng.integers(1, 9, size=(10, 3))
    fractions = []
    note = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: fractions.append(
            float(model.decoder.sampling) if model.decoder.built else 0.0
        )
    )
    model, rise = sampling_model(), rk.seq2seq.ScheduledSampling(1.0, over=20)
    model.fit((tokens, tokens), tokens, batch_size=1, epochs=2, callbacks=[note, rise], verbose=0)
    assert fractions == pytest.approx([0.0, 0.2, 0.4, 0.5, 0.7, 0.9])
    assert float(model.decoder.sampling) == 1.0
    late = rk.seq2seq.ScheduledSampling(1.0, over=20, start=10)
    with pytest.raises(ValueError, match="cannot start with 10 batches done. Call the model on a batch first"):
        sampling_model().fit((tokens, tokens), tokens, callbacks=[late], verbose=0)


def test_a_rate_is_halved_from_the_fifth_epoch_on():
    rate = training.schedule("halving", 0.1, steps=10, epochs=8)
    assert [float(rate(10 * epoch)) for epoch in range(7)] == pytest.approx([0.1] * 4 + [0.05, 0.025, 0.0125])

"""The study of gradients, small: the tasks, the measurements, and that nothing is reported that was not measured."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_rnnkit as rk
from keras_rnnkit.runs.gradient_study import BatchLog, clipped_and_not
from keras_rnnkit.runs.jacobians import jacobian_products, recurrent_spectra
from keras_rnnkit.runs.memory_networks import NETWORKS, STARTS, biases, chrono
from keras_rnnkit.runs.memory_tasks import BLANK, Generated, adding, copying, model_of
from keras_rnnkit.settings import SettingsError
from pipelines import gradient_flow
from pipelines.gradient_flow import Settings

SMALL = {"adding_steps": 8, "copying_steps": 4, "adding_batches": 3, "copying_batches": 3, "units": 6, "held_out": 8}


def test_a_model_without_a_memory_has_the_baseline_of_each_task():
    """The mean for adding; for copying the blanks, and all symbols alike."""
    task = adding(50)
    _, y = task.examples(20_000, 0)
    assert np.mean((y - 1) ** 2) == pytest.approx(task.baseline, rel=0.03)
    task = copying(50)
    _, y = task.examples(10, 0)
    nats = np.where(np.arange(70) < 60, 0.0, np.log(8))
    assert (y[:, :60] == BLANK).all() and (y[:, 60:] > 0).all()
    assert nats.mean() == pytest.approx(task.baseline) and task.target == task.baseline / 2


def test_examples_are_new_in_every_batch_and_the_same_after_a_resumption():
    batches = Generated(copying(5).make, count=4, batch=3, seed=2)
    first = [batches.batch(number)[0] for number in range(4)]
    batches.epoch = 1
    assert not any(np.array_equal(x, batches.batch(number)[0]) for number, x in enumerate(first))
    batches.epoch = 0
    rest = [x.numpy() for x, _ in batches.dataset(2)]
    assert len(rest) == 2 and all(np.array_equal(*pair) for pair in zip(rest, first[2:], strict=True))
    held_out = copying(5).examples(3, seed=2)[0]
    assert not any(np.array_equal(held_out, x) for x in first)


@pytest.mark.parametrize("name", NETWORKS)
def test_products_of_jacobians_are_derivatives(name):
    """The reference: an earlier state is moved a little, and the rest of the sequence runs again."""
    keras.utils.set_random_seed(1)
    task = adding(8)
    model = model_of(task, NETWORKS[name](3, 8), name)
    x, _ = task.examples(1, 0)
    products, layer = jacobian_products(model, x), model.layers[1]
    layer = getattr(layer, "layer", layer)
    lag, states = 3, layer.get_initial_state(1)
    for t in range(8 - lag):
        _, states = layer.cell(x[:, t], states, training=False)
    flat = np.concatenate([np.asarray(state)[0] for state in tf.nest.flatten(states)])

    def last(values):
        after = [tf.constant(part[None], "float32") for part in np.split(values, len(flat) // 3)]
        for t in range(8 - lag, 8):
            _, after = layer.cell(x[:, t], after, training=False)
        return np.concatenate([np.asarray(state)[0] for state in tf.nest.flatten(after)]).astype(np.float64)

    moved = [(last(flat + 1e-2 * unit) - last(flat - 1e-2 * unit)) / 2e-2 for unit in np.eye(len(flat))]
    np.testing.assert_allclose(products[lag - 1], np.stack(moved, 1), atol=3e-3)


def test_the_recurrent_matrix_of_each_gate():
    model = model_of(adding(4), NETWORKS["tanh"](5, 4), "tanh")
    np.testing.assert_allclose(recurrent_spectra(model)["h"], np.ones(5), atol=1e-5)
    assert list(recurrent_spectra(model_of(adding(4), NETWORKS["lstm"](5, 4), "m"))) == [
        "input",
        "forget",
        "candidate",
        "output",
    ]


def test_first_weights_are_what_their_names_say():
    assert biases(4.0)((8,)).numpy().tolist() == [0, 0, 4, 4, 0, 0, 0, 0]
    start = chrono(4, 100)((16,)).numpy()
    assert (start[:4] == -start[4:8]).all() and (start[4:8] < np.log(99)).all() and not start[8:].any()
    for name, build in STARTS.items():
        (layer,) = build(4, 10)
        assert isinstance(layer, keras.layers.RNN) and name.split(",")[0].lower() in ("lstm", "tanh")


def test_clipping_keeps_a_training_alive_that_explodes_without_it():
    """A recurrent matrix that is a third too large: the plain step is enormous."""
    from dataclasses import replace
    from unittest.mock import patch

    settings = replace(Settings(), units=8, batch=4)
    with patch("keras_rnnkit.runs.gradient_study.TOO_LARGE", 1.5):
        found = clipped_and_not(adding(40), settings, batches=12)
    plain, clipped = found["without clipping"], found["clipped to a norm of 1"]
    assert len(clipped["loss"]) == 12 and np.isfinite(clipped["norm"]).all()
    assert len(plain["loss"]) < 12 or plain["loss"].max() > 10 * clipped["loss"].max()
    assert clipped["norm"][0] == pytest.approx(plain["norm"][0]) and clipped["norm"][0] > 100


def test_a_batch_log_notes_each_batch_alone():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(rk.training.watched(keras.optimizers.SGD(0.0)), "mse")
    log, x = BatchLog(), np.array([[1.0], [2.0], [3.0]])
    model.fit(x, np.zeros((3, 1)), batch_size=1, shuffle=False, verbose=0, callbacks=[log])
    np.testing.assert_allclose(np.array(log.losses) / log.losses[0], [1, 4, 9], rtol=1e-5)
    np.testing.assert_allclose(np.array(log.norms) / log.norms[0], [1, 4, 9], rtol=1e-4)


@pytest.mark.study
def test_every_stage_with_all_networks_and_comparisons(tmp_path):
    metrics = gradient_flow.run(Settings(**SMALL, out=tmp_path, epochs=2))
    networks = {"linear", "tanh", "relu", "lstm", "gru", "layernorm_lstm", "residual"}
    assert set(metrics["reach"]) == set(metrics["adding"]["loss"]) == networks
    assert set(metrics["copying"]["loss"]) == networks - {"relu", "layernorm_lstm", "residual"}
    assert len(metrics["starts"]) == len(STARTS) + 2 and metrics["export_error"] < 1e-5
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert names == {"index.html", "metrics.json", *(name for name, _ in gradient_flow.PICTURES)}
    assert json.loads((tmp_path / "report" / "metrics.json").read_text())["settings"]["units"] == 6
    again = gradient_flow.run(Settings(evaluate=tmp_path, out=tmp_path / "evaluation"))
    assert again["adding"] == metrics["adding"] and again["export_error"] == metrics["export_error"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"networks": "gru,elman"},
            "networks must be some of linear, tanh, relu, .*, gru among them.*Received: 'gru,elman'",
        ),
        ({"copying_networks": "elman"}, "copying_networks must be some of the networks .*Received: 'elman'"),
        (
            {"networks": "gru", "copying_networks": "lstm"},
            "copying_networks must be some of .* compared, gru. Received",
        ),
        ({"networks": "tanh"}, "gru among them, which is exported. Received: 'tanh'"),
        ({"cell": "lstm"}, "--cell has no effect here: --networks says what is compared"),
        ({"adding_steps": 2}, "adding_steps and copying_steps must be 4 or more"),
    ],
)
def test_settings_that_make_no_sense(changes, sentence):
    with pytest.raises(SettingsError, match=sentence):
        Settings(**changes)

"""Pieces of a group that need no second process: rows of batches, checkpoints, and what is refused."""

import json
import zipfile
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_rnnkit as rk
from keras_rnnkit.cluster import Cluster, ClusterError
from keras_rnnkit.training import preparation
from keras_rnnkit.training.distributed.checkpoints import (
    WorkerCheckpoint,
    common_place,
    path_of_worker,
    places_of,
    previous_of,
)
from keras_rnnkit.training.distributed.model import cannot_be_empty, in_sentences
from keras_rnnkit.training.distributed.shards import as_dataset, data_facts, shards


@pytest.mark.parametrize("replicas", [1, 2, 3, 5])
def test_the_rows_of_all_replicas_are_the_batch(replicas):
    batches = tf.data.Dataset.from_tensor_slices((np.arange(22).reshape(11, 2), np.arange(11))).batch(4)
    pieces = [list(shards(batches, first, 1, replicas)) for first in range(replicas)]
    assert [len(each) for each in pieces] == [len(batches)] * replicas
    for number, (x, y) in enumerate(batches):
        np.testing.assert_array_equal(np.concatenate([each[number][0] for each in pieces]), x)
        np.testing.assert_array_equal(np.concatenate([each[number][1] for each in pieces]), y)


def test_a_static_number_of_rows_stays_static():
    batches = tf.data.Dataset.range(8).batch(4, drop_remainder=True)
    assert shards(batches, 0, 1, 2).element_spec.shape == (2,)
    assert shards(batches, 0, 1, 3).element_spec.shape == (None,)


def test_equal_shards_are_demanded_where_jax_needs_them():
    batches = tf.data.Dataset.range(8).batch(4, drop_remainder=True)
    with pytest.raises(ClusterError, match="3 devices cannot share a batch of 4 rows equally"):
        shards(batches, 0, 1, 3, equal=True)
    with pytest.raises(tf.errors.InvalidArgumentError, match="a multiple of the 2 devices"):
        list(shards(tf.data.Dataset.range(7).batch(4), 0, 1, 2, equal=True))


def test_rows_for_every_replica_are_demanded_where_convolutions_need_them(pair):
    frames = keras.Input((4, 4, 1))
    with pair.scope():
        model = keras.Sequential([frames, keras.layers.Conv2D(2, 3), keras.layers.Flatten(), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
    pair.prepare(model)
    assert cannot_be_empty(model, pair) and not cannot_be_empty(keras.Sequential([keras.layers.Dense(1)]), pair)
    batches = tf.data.Dataset.range(5).batch(4)
    assert len(list(shards(batches, 0, 1, 2))) == 2
    with (
        pytest.raises(ClusterError, match="^A batch has fewer rows than the 2 devices that share it"),
        in_sentences(SimpleNamespace(replicas=2, workers=1)),
    ):
        list(shards(batches, 0, 1, 2, nonempty=True))


def test_data_facts_differ_where_the_first_batch_does():
    facts = [data_facts(tf.data.Dataset.from_tensor_slices(np.arange(n, n + 6)).batch(2)) for n in (0, 0, 1)]
    assert facts[0] == facts[1] != facts[2]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"x": np.zeros((4, 2)), "shuffle": True}, "shuffle=True draws an order without a seed"),
        ({"x": iter([1]), "shuffle": False}, "Received: x of the type list_iterator"),
    ],
)
def test_data_that_is_refused(arguments, sentence):
    with pytest.raises(ClusterError, match=sentence):
        as_dataset(**arguments, y=None, sample_weight=None, batch_size=2, workers=2)


def write_place(path, epoch, batch):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("training.json", json.dumps({"epoch": epoch, "batch": batch}))


def test_places_are_read_from_both_files_and_damaged_ones_do_not_count(tmp_path):
    path = tmp_path / "training.ckpt"
    assert places_of(path) == []
    write_place(path, 1, 4)
    write_place(previous_of(path), 1, 2)
    assert places_of(path) == [(1, 4), (1, 2)]
    path.write_bytes(path.read_bytes()[:40])
    assert places_of(path) == [(1, 2)]


def test_the_newest_common_place():
    assert common_place([[(1, 4), (1, 2)], [(1, 2), (1, 0)]]) == (1, 2)
    assert common_place([[(2, 0), (1, 9)], [(2, 0), (1, 9)]]) == (2, 0)
    assert common_place([[(0, 2)], []]) is common_place([[], []]) is None


def test_a_worker_that_has_lost_its_files_is_named():
    sentence = "worker 0 has epoch 2, batch 5 and epoch 2, batch 3; worker 1 has no checkpoint"
    with pytest.raises(ClusterError, match=sentence):
        common_place([[(1, 4), (1, 2)], []])


def test_a_checkpoint_of_a_worker_keeps_the_file_before(tmp_path):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    keeper = WorkerCheckpoint(path_of_worker(tmp_path / "training.ckpt", 1), {})
    keeper.set_model(model)
    for batch in range(3):
        keeper.save(0, batch)
    assert places_of(keeper.path) == [(0, 2), (0, 1)]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "training.worker1.ckpt",
        "training.worker1.previous.ckpt",
    ]


def test_one_device_needs_nothing_special(tmp_path):
    """The same program, without a group."""
    group = rk.training.distribute()
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    group.prepare(model)
    assert type(model) is keras.Sequential and (group.workers, group.replicas, group.is_chief) == (1, 1, True)
    assert group.resume(model, tmp_path / "training.ckpt", {}) is None
    keeper = group.checkpoint(tmp_path / "training.ckpt", {})
    model.fit(np.ones((4, 1)), np.ones((4, 1)), callbacks=[keeper], verbose=0)
    assert group.resume(model, tmp_path / "training.ckpt", {})["epoch"] == 1
    assert group.exchange("value") == ["value"]
    group.close()


@pytest.fixture
def pair():
    """A group of one device, which has all that a group of several has."""
    return rk.training.distribute("mirrored", devices=["CPU:0"])


def small_model(**compiled):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", **{"loss": "mse", **compiled})
    return model


def test_models_that_are_refused(pair):
    with pytest.raises(ClusterError, match="was built outside of the group"):
        pair.prepare(small_model())
    with pair.scope():
        unbuilt, compiled = keras.Sequential([keras.layers.Dense(1)]), small_model(jit_compile=True)
        unbuilt.compile("sgd", "mse")
    with pytest.raises(ClusterError, match="has no weights yet"):
        pair.prepare(unbuilt)
    with pytest.raises(ClusterError, match="jit_compile=True cannot be combined"):
        pair.prepare(compiled)
    with pytest.raises(ClusterError, match="Call model.compile before"):
        pair.prepare(keras.Sequential([keras.layers.Dense(1)]))


class Workers:
    """As much of a group of two workers as the check of a model asks for."""

    workers, strategy = 2, None


@pytest.fixture
def two_workers():
    group = Workers()
    preparation.OPEN_GROUPS.add(group)
    yield group
    preparation.OPEN_GROUPS.discard(group)


def uses(model, path):
    """The ways in which a model that was not prepared could train, each alone."""
    windows, x = rk.data.Windows(np.arange(41) % 5, 2, 5), np.zeros((4, 2))
    keeper = rk.training.Checkpoint(path, {})
    return {
        "rk.training.fit": lambda: rk.training.fit(model, windows, 1, verbose=0),
        "rk.training.resume": lambda: rk.training.resume(model, path, {}),
        "Checkpoint": lambda: model.fit(x, x[:, :1], callbacks=[keeper], verbose=0),
    }


@pytest.mark.parametrize("use", ["rk.training.fit", "rk.training.resume", "Checkpoint"])
def test_a_model_that_was_not_prepared(use, pair, tmp_path):
    with pair.scope():
        model = small_model()
    with pytest.raises(ClusterError, match=f"{use} needs a prepared model.*Call group.prepare"):
        uses(model, tmp_path / "training.ckpt")[use]()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("use", ["rk.training.fit", "rk.training.resume", "Checkpoint"])
def test_a_model_that_each_worker_would_train_alone(use, two_workers, tmp_path):
    with pytest.raises(ClusterError, match=f"{use} would use .* on each of the 2 workers alone.*group.scope()"):
        uses(small_model(), tmp_path / "training.ckpt")[use]()


@pytest.mark.parametrize("use", ["rk.training.resume", "Checkpoint"])
def test_a_checkpoint_of_all_workers_together(use, two_workers, pair, tmp_path):
    with pair.scope():
        model = small_model()
    pair.prepare(model)
    object.__setattr__(model, "group", two_workers)
    keeper = rk.training.Checkpoint(tmp_path / "training.ckpt", {})
    keeper.set_model(model)
    calls = {**uses(model, tmp_path / "training.ckpt"), "Checkpoint": keeper.on_train_begin}
    with pytest.raises(ClusterError, match=f"{use} would use the same file on all workers.*Call group"):
        calls[use]()


def test_a_group_that_is_closed_refuses_nothing(pair):
    assert pair in preparation.OPEN_GROUPS
    pair.close()
    assert pair not in preparation.OPEN_GROUPS


@pytest.mark.parametrize("arguments", [{"validation_split": 0.5}, {"class_weight": {0: 1.0}}])
def test_arguments_of_fit_that_are_refused(pair, arguments):
    with pair.scope():
        model = small_model()
    pair.prepare(model)
    with pytest.raises(ClusterError, match=f"{next(iter(arguments))} cannot be used where a model trains on several"):
        model.fit(np.zeros((4, 2)), np.zeros((4, 1)), **arguments)


def test_a_prepared_model_is_saved_as_keras_saves_it(pair, tmp_path):
    with pair.scope():
        model = keras.Sequential([keras.Input((None,)), keras.layers.Embedding(5, 3), rk.GRU(3), keras.layers.Dense(5)])
        model.compile(keras.optimizers.Adam(clipnorm=1.0), rk.training.NextToken(), metrics=[rk.training.Perplexity()])
    pair.prepare(model)
    x = np.ones((4, 3), "int32")
    model.fit(x, x[:, 0], batch_size=2, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = rk.load_model(tmp_path / "model.keras")
    assert type(loaded) is keras.Sequential and type(loaded.loss) is rk.training.NextToken
    np.testing.assert_allclose(loaded.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-6)


def test_an_unknown_engine():
    with pytest.raises(ClusterError, match="Received: engine='horovod'"):
        rk.training.distribute("horovod")


@pytest.mark.parametrize("engine", [None, "mirrored"])
def test_a_launched_worker_that_would_train_alone(engine, monkeypatch, tmp_path):
    monkeypatch.setenv("RNNKIT_HEARTBEATS", str(tmp_path))
    monkeypatch.setenv("TF_CONFIG", Cluster(("a:1", "b:1"), 1).tf_config)
    with pytest.raises(ClusterError, match="as one of 2 workers, and each would train alone.*--distribute workers"):
        rk.training.distribute(engine)
    monkeypatch.setenv("TF_CONFIG", Cluster(("a:1",), 0).tf_config)
    assert rk.training.distribute().workers == 1


@pytest.mark.parametrize("arguments", [{"workers": "a:1,b:1"}, {"index": 0}])
def test_addresses_without_workers(arguments):
    with pytest.raises(ClusterError, match='The addresses of workers go with "workers"'):
        rk.training.distribute(None, **arguments)

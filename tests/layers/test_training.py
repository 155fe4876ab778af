"""Our layers in the life of a Keras model: fit, save, clone, policies, distribution."""

import json
import textwrap

import keras
import numpy as np
import pytest

import keras_rnnkit as rk
from tests.covering import studied
from tests.forking import python

tensorflow_only = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a TensorFlow feature")
X = np.random.default_rng(5).normal(size=(12, 6, 4)).astype("float32")
Y = X[:, :, :2].sum(axis=1)


def model_of(*layers, **compiled):
    """A compiled model; run_eagerly=True where it is not the graph of a step that is tested."""
    model = keras.Sequential([keras.Input((None, 4)), *layers, keras.layers.Dense(2, dtype="float32")])
    model.compile(keras.optimizers.Adam(0.02, clipnorm=1.0), "mse", **compiled)
    return model


def deep():
    return [
        rk.Bidirectional(rk.LSTM(5, return_sequences=True)),
        rk.Recurrent(rk.cells.LayerNormLSTMCell(5, recurrent_dropout=0.1), return_sequences=True),
        rk.Recurrent(rk.cells.ZoneoutCell(rk.cells.GRUCell(4)), return_sequences=True),
        rk.Stack(rk.VanillaRNN(4), num_layers=2, dropout=0.1),
    ]


@studied("jit_compile", [False, True], [True])
def test_fit_learns(jit_compile):
    keras.utils.set_random_seed(1)
    model = model_of(rk.LSTM(8, dropout=0.1, recurrent_dropout=0.1), jit_compile=jit_compile)
    model.optimizer.build(model.trainable_variables)  # otherwise the first step is traced twice
    losses = model.fit(X, Y, epochs=8, batch_size=6, verbose=0).history["loss"]
    assert losses[-1] < 0.7 * losses[0]


WAYS = {"eager": {"run_eagerly": True}, "graph": {"jit_compile": False}, "xla": {"jit_compile": True}}


@studied("way", WAYS, ["eager"])  # a graph of each kind alone is in tests/conformance
def test_every_kind_of_layer_trains(way):
    model = model_of(*deep(), **WAYS[way])
    assert np.isfinite(model.fit(X[:, :3], Y, batch_size=6, verbose=0).history["loss"]).all()
    assert np.isfinite(model(X)).all()


def test_training_takes_the_steps_that_stock_layers_take():
    """The same start, data and optimiser end at the same weights: our gradient is theirs."""
    keras.utils.set_random_seed(1)
    ours, stock = (model_of(make(5), run_eagerly=True) for make in (rk.GRU, keras.layers.GRU))
    stock.set_weights(ours.get_weights())
    for model in (ours, stock):
        model.fit(X, Y, batch_size=4, epochs=3, shuffle=False, verbose=0)
    for a, b in zip(ours.get_weights(), stock.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-4)


def test_save_load_clone_and_summary(tmp_path):
    model = model_of(*deep(), run_eagerly=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(X), model(X), atol=1e-6)
    assert [type(layer) for layer in loaded.layers] == [type(layer) for layer in model.layers]
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_allclose(clone(X), model(X), atol=1e-6)
    lines = []
    model.summary(print_fn=lines.append)
    assert "Bidirectional" in "\n".join(lines)


CELLS = {
    "coupled": lambda: rk.cells.CoupledLSTMCell(4, activation="relu"),
    "peephole": lambda: rk.cells.PeepholeLSTMCell(4, projection=2),
    "batchnorm": lambda: rk.cells.BatchNormCell(rk.cells.GRUCell(4, reset_after=False), momentum=0.9),
    "conditioned": lambda: rk.cells.ConditionedCell(rk.cells.VanillaCell(4), 3, condition_regularizer="l2"),
    "zoneout": lambda: rk.cells.ZoneoutCell(rk.cells.LayerNormLSTMCell(4, epsilon=1e-4), rate=[0.1, 0.2]),
}


def as_json(layer):
    return json.loads(json.dumps(layer.get_config()))


@pytest.mark.parametrize("name", CELLS)
def test_every_cell_survives_a_file(name, tmp_path):
    model = model_of(rk.Recurrent(CELLS[name](), kernel="scan", learn_initial_state=True))
    model(X, training=True)  # moves the averages of a batch normalization
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(X), model(X), atol=1e-6)
    assert as_json(loaded.layers[0]) == as_json(model.layers[0])


OURS_ALONE = ("keras_rnnkit as rk", "rk.load_model")


@studied("imports, load", [OURS_ALONE, ("keras, keras_rnnkit", "keras.models.load_model")], [OURS_ALONE])
def test_a_file_loads_in_a_process_that_only_imports_us(imports, load, tmp_path):
    model_of(rk.LSTM(4)).save(tmp_path / "model.keras")
    script = f"import {imports}; print({load}({str(tmp_path / 'model.keras')!r}).layers[0].__module__)"
    done = python("-c", script)
    assert done.stdout.strip() == "keras_rnnkit.layers.facades", done.stderr


@studied("policy", ["mixed_float16", "mixed_bfloat16"], ["mixed_float16"])
def test_mixed_precision(policy):
    layers = [rk.LSTM(5, return_sequences=True, dtype=policy), rk.Stack(rk.GRU(5, dtype=policy), dtype=policy)]
    model = model_of(*layers, run_eagerly=True)
    assert np.isfinite(model.fit(X, Y, verbose=0).history["loss"]).all()
    assert layers[0].cell.kernel.dtype == "float32"
    assert keras.backend.standardize_dtype(layers[0](X).dtype) == policy.removeprefix("mixed_")


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_every_cell_computes_in_half_precision(policy):
    keras.config.set_dtype_policy(policy)
    try:
        layers = [rk.Recurrent(make()) for make in CELLS.values()]
    finally:
        keras.config.set_dtype_policy("float32")
    for layer in layers:
        outputs = layer(X, training=True)
        assert keras.backend.standardize_dtype(outputs.dtype) == policy.removeprefix("mixed_")
        assert np.isfinite(keras.ops.convert_to_numpy(keras.ops.cast(outputs, "float32"))).all()


@tensorflow_only
def test_tf_data_with_ragged_batches():
    import tensorflow as tf

    rows = tf.data.Dataset.from_generator(
        lambda: ((X[i, : 2 + i % 4], Y[i]) for i in range(len(X))),
        output_signature=(tf.TensorSpec((None, 4)), tf.TensorSpec((2,))),
    )
    model = keras.Sequential([keras.Input((None, 4)), keras.layers.Masking(), rk.GRU(5), keras.layers.Dense(2)])
    model.compile("adam", "mse", run_eagerly=True)
    batches = rows.padded_batch(5).prefetch(1)
    assert np.isfinite(model.fit(batches, verbose=0).history["loss"]).all()
    padded = np.zeros((1, 6, 4), "float32")
    padded[0, :3] = X[0, :3]
    np.testing.assert_allclose(model.predict(padded, verbose=0), model.predict(X[:1, :3], verbose=0), atol=1e-6)


@tensorflow_only
@pytest.mark.study  # tests/training/test_distribution.py trains on two devices in the quick tests
def test_two_mirrored_devices_train_like_one():
    script = textwrap.dedent(
        """
        import os
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        import keras, numpy as np, tensorflow as tf, keras_rnnkit as rk
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        x = np.random.default_rng(5).normal(size=(8, 6, 4)).astype("float32")
        def trained():
            keras.utils.set_random_seed(2)
            model = keras.Sequential([keras.Input((6, 4)), rk.LSTM(5, return_sequences=True),
                                      rk.Recurrent(rk.cells.LayerNormLSTMCell(3))])
            model.compile("sgd", "mse")
            model.fit(x, np.ones((8, 3)), batch_size=8, epochs=2, shuffle=False, verbose=0)
            return model.get_weights()
        alone = trained()
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
        with strategy.scope():
            together = trained()
        print(strategy.num_replicas_in_sync, max(np.abs(a - b).max() for a, b in zip(alone, together)))
        """
    )
    done = python("-c", script)
    assert done.returncode == 0, done.stderr[-3000:]
    replicas, difference = done.stdout.split()
    assert int(replicas) == 2 and float(difference) < 1e-5

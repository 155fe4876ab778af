"""Trains on one device and on two logical CPU devices; prints how the weights and the logs differ, as JSON."""

import contextlib
import json
import sys
import warnings

import keras
import numpy as np
import tensorflow as tf

from keras_rnnkit import training
from keras_rnnkit.cluster import ClusterError
from keras_rnnkit.training.distribution import warn_if_unsynchronized
from tests.distributed.cases import CASES, IDS, small_model

keras.config.set_dtype_policy("float64")  # in float32 rounding alone reaches 2e-7 on some processors
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

SGD, Adam = keras.optimizers.SGD, keras.optimizers.Adam
OPTIMIZERS = {
    "global_clipnorm": lambda: SGD(0.1, global_clipnorm=0.05),
    "clipnorm": lambda: SGD(0.1, clipnorm=0.02),
    "clipvalue": lambda: Adam(0.01, clipvalue=0.005),
    "watched, averaging": lambda: training.averaging(training.watched(SGD(0.1, global_clipnorm=0.05)), 0.9),
}
STRATEGY = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
RNG = np.random.default_rng(0)
FEATURES, CLASSES = RNG.normal(size=(32, 5)), RNG.integers(0, 3, size=(32, 4))
TOKENS = RNG.integers(0, 4, size=(32, 4))  # few tokens, so that they repeat within a replica and across


def trained(optimizer, strategy=None, weights=None):
    """(first weights, weights, logs) of two epochs."""
    with strategy.scope() if strategy else contextlib.nullcontext():
        tokens, features = keras.Input((4,), dtype="int32"), keras.Input((5,))
        x = keras.layers.Embedding(4, 3)(tokens)
        x = keras.layers.SimpleRNN(4, return_sequences=True)(x, initial_state=keras.layers.Dense(4)(features))
        model = keras.Model([tokens, features], keras.layers.Dense(3)(x))
        if weights is not None:
            model.set_weights(weights)
        model.compile(optimizer(), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.optimizer.build(model.trainable_variables)  # otherwise the first step is traced twice
    first = model.get_weights()
    callbacks = [training.GradientLog()] if hasattr(type(model.optimizer), "will_clip") else []
    callbacks += [training.AveragedWeights()] if model.optimizer.use_ema else []
    x = [TOKENS, FEATURES]
    data = {"batch_size": 8, "epochs": 2, "shuffle": False, "verbose": 0, "callbacks": callbacks}
    data["validation_data"] = (x, CLASSES) if callbacks else None
    history = model.fit(x, CLASSES, **data).history
    return first, model.get_weights(), history


def differences(name):
    first, expected, logs = trained(lambda: training.synchronized(OPTIMIZERS[name]()))
    _, ours, our_logs = trained(lambda: training.synchronized(OPTIMIZERS[name]()), STRATEGY, first)

    def largest(others):
        return max(float(np.abs(a - b).max()) for a, b in zip(expected, others, strict=True))

    off = {key: float(np.abs(np.subtract(logs[key], our_logs[key])).max()) for key in logs}
    result = {"synchronized": largest(ours), "moved": largest(first), "logs": off}
    if name == "global_clipnorm":
        result["stock"] = largest(trained(OPTIMIZERS[name], STRATEGY, first)[1])
    return result


def warned(optimizer, check):
    """What a check of a model on two replicas warns of."""
    with STRATEGY.scope():
        model = keras.Sequential([keras.layers.Embedding(5, 3), keras.layers.Dense(5)])
        model.compile(optimizer, training.NextToken())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check(model)
    return [str(warning.message) for warning in caught if "rk.training.synchronized" in str(warning.message)]


class Windowed:
    """As much of `Windows` as `fit` needs."""

    epoch = 0

    def __len__(self):
        return 2

    def dataset(self, start):
        return tf.data.Dataset.from_tensor_slices((TOKENS[:16], TOKENS[16:])).batch(8).skip(start)


def group_differences(name):
    """How a case of `tests.distributed` differs between one device and a group of two."""
    keras.backend.set_floatx("float64")
    alone = CASES[name](training.distribute())
    group = training.distribute("mirrored")  # both devices, because there are two
    assert group.replicas == 2
    both = CASES[name](group)
    off = max(float(np.abs(a - b).max()) for a, b in zip(alone["weights"], both["weights"], strict=True))
    return {"weights": off, "logs": max(abs(alone["logs"][key] - both["logs"][key]) for key in alone["logs"])}


def mixed(policy):
    """Weights of a model of lower precision, clipped, after 12 steps on one device and on two."""
    keras.config.set_dtype_policy(policy)
    first, results = [], []
    for engine in (None, "mirrored"):
        group = training.distribute(engine)
        model = small_model(group, 8, False, lambda: SGD(0.5, global_clipnorm=0.2))
        first.append(model.get_weights())
        model.fit(IDS[:288].reshape(48, 6), IDS[1:289].reshape(48, 6), batch_size=8, epochs=2, shuffle=False, verbose=0)
        results.append(model.get_weights())

    def largest(arrays, others):
        return max(float(np.abs(a - b).max()) for a, b in zip(arrays, others, strict=True))

    return {
        "scaled": type(model.optimizer).__name__ == "LossScaleOptimizer",
        "moved": largest(first[0], results[0]),
        "off": largest(*results),
        "off_first": largest(*first),
    }


def skipped_together():
    """Scales of a float16 model on two replicas: after a gradient that is infinite on one of them, and a finite one."""
    keras.config.set_dtype_policy("mixed_float16")
    group = training.distribute("mirrored", devices=["CPU:0", "CPU:1"])
    with group.scope():
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
        model.compile(SGD(0.1, global_clipnorm=1.0), "mse")
    group.prepare(model)
    model.optimizer.dynamic_scale.assign(4.0)
    x, before, rows = np.ones((4, 2), "float32"), model.get_weights()[0], []
    for worst in (np.inf, 1.0):
        y = np.array([[worst], [1], [1], [1]], "float32")
        model.fit(x, y, batch_size=4, shuffle=False, verbose=0)
        weights = model.trainable_weights[0].value.values
        moved = [float(np.abs(each.numpy() - before).max()) for each in weights]
        rows.append({"moved": moved, "scale": float(model.optimizer.dynamic_scale.value.values[0])})
    return rows


def main():
    results = {name: differences(name) for name in OPTIMIZERS}
    clips, check = SGD(0.1, clipnorm=0.2), warn_if_unsynchronized
    results["warnings"] = {
        "clips": warned(clips, lambda model: training.fit(model, Windowed(), 1, verbose=0)),
        "watched": warned(training.watched(SGD(0.1)), check),
        "synchronized": warned(training.synchronized(SGD(0.1, clipnorm=0.2)), check),
        "plain": warned(SGD(0.1), check),
    }
    json.dump(results, sys.stdout)


def metric_from_elsewhere():
    """The refusal of a metric that was made before the group was there."""
    group, metric = training.distribute("mirrored", devices=["CPU:0", "CPU:1"]), keras.metrics.MeanSquaredError()
    with group.scope():
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile(SGD(0.1), "mse", metrics=[metric])
    group.prepare(model)
    try:
        model.fit(np.ones((4, 2)), np.ones((4, 1)), batch_size=4, shuffle=False, verbose=0)
    except ClusterError as error:
        return str(error)


# TensorFlow cannot exchange between the same devices in two groups of one process.
GROUPS = {
    "stateful": lambda: group_differences("stateful"),
    "plain": lambda: group_differences("plain"),
    "float16": skipped_together,
    "mixed_float16": lambda: mixed("mixed_float16"),
    "mixed_bfloat16": lambda: mixed("mixed_bfloat16"),
    "metric": metric_from_elsewhere,
}

if __name__ == "__main__":
    json.dump(GROUPS[sys.argv[1]](), sys.stdout) if len(sys.argv) > 1 else main()

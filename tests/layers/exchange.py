"""Run in a fresh process by test_model_files.py: reads there what another process has written.

    python -m tests.layers.exchange FOLDER NAME...

For each model FOLDER holds files of the stock model and of the converted one, trained for two steps, and the weights
after another two.
"""

import sys
from pathlib import Path

import keras_rnnkit as rk  # isort: skip  before keras: its classes must become known when keras is imported
import keras
import numpy as np
import tensorflow as tf

from tests.layers.models import MODELS

STEPS = 2


def trained(model, x, y, steps=STEPS):
    for layer in model.layers:
        if getattr(layer, "stateful", False):
            layer.reset_state()  # files do not hold carried states
    model.fit(x, y, epochs=steps, batch_size=3, shuffle=False, verbose=0)
    return model


def start(name):
    """A stock model with an optimizer, its input and its target."""
    model, x = MODELS[name]()
    y = np.ones_like(np.asarray(model(x)))
    model.compile(keras.optimizers.Adam(0.05), "mse", run_eagerly=True)  # a few small steps: tracing would take longer
    return model, x, y


def write(folder: Path, name: str) -> None:
    stock, x, y = start(name)
    trained(stock, x, y)
    for kind, model in {"stock": stock, "ours": rk.convert(stock)}.items():
        model.save(folder / f"{name}.{kind}.keras")
        model.save_weights(folder / f"{name}.{kind}.weights.h5")
        tf.train.Checkpoint(model=model, optimizer=model.optimizer).write(str(folder / f"{name}.{kind}.checkpoint"))
    save_weights(folder / f"{name}.now.npz", stock)
    save_weights(folder / f"{name}.later.npz", trained(stock, x, y))


def save_weights(path, model):
    np.savez(path, *[keras.ops.convert_to_numpy(weight) for weight in model.weights])


def assert_weights(path, model, what):
    with np.load(path) as file:
        expected = [file[name] for name in file.files]
    assert len(model.weights) == len(expected), what
    for weight, value in zip(model.weights, expected, strict=True):
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(weight), value, atol=1e-5, err_msg=f"{what} {weight.path}"
        )


def read(folder: Path, name: str) -> None:
    for source, target in (("stock", "ours"), ("ours", "stock"), ("ours", "ours")):
        for file in ("weights.h5", "keras"):
            model = blank(name, target)[0]
            model.load_weights(folder / f"{name}.{source}.{file}")
            assert_weights(folder / f"{name}.now.npz", model, f"{name}: {source} {file} into {target}")
        model, x, y = blank(name, target)
        checkpoint = tf.train.Checkpoint(model=model, optimizer=model.optimizer)
        status = checkpoint.read(str(folder / f"{name}.{source}.checkpoint"))
        status.assert_existing_objects_matched().assert_consumed()
        trained(model, x, y)
        assert_weights(folder / f"{name}.later.npz", model, f"{name}: {source} checkpoint into {target}")


def blank(name: str, kind: str):
    model, x, y = start(name)
    model = rk.convert(model) if kind == "ours" else model
    model.optimizer.build(model.trainable_variables)
    return model, x, y


def load(folder: Path, name: str) -> None:
    """Whole models: with Keras' own function first, before anything of ours was used."""
    for module in (keras.models, rk):
        model = module.load_model(folder / f"{name}.ours.keras")
        rows = rk.explain(model, print_fn=None)
        if name != "subclassed" or module is rk:
            assert {row.kernel for row in rows} <= {"hoisted", "scan"}, rows
        else:  # its constructor makes stock layers, and the table says so
            assert all("a stock layer; rk.convert" in row.reason for row in rows), rows
        assert int(model.optimizer.iterations) == STEPS
        _, x, y = start(name)
        assert_weights(folder / f"{name}.later.npz", trained(model, x, y), f"{name}: {module.__name__}")


if __name__ == "__main__":
    place, *names = sys.argv[1:]
    for each in names:
        load(Path(place), each)
    for each in names:
        read(Path(place), each)

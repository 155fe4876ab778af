"""The `rnnkit` command: its answers, its refusals, its speed."""

import subprocess
import sys
import zipfile

import keras
import pytest
from typer.testing import CliRunner

import keras_rnnkit as rk
from keras_rnnkit.cli import app


def rnnkit(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def saved(tmp_path):
    def save(*layers):
        path = tmp_path / "model.keras"
        keras.Sequential([keras.Input((None, 4)), *layers]).save(path)
        return path

    return save


@pytest.mark.parametrize(
    "arguments", [["--help"], ["demo", "--help"], ["explain", "--help"], ["export", "--help"], ["inspect", "--help"]]
)
def test_help_does_not_load_tensorflow(arguments):
    code = (
        f"import sys; sys.argv = ['rnnkit', *{arguments!r}]\n"
        "from keras_rnnkit.__main__ import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "print({'tensorflow', 'keras', 'numpy'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stderr == "set()\n"
    assert "Usage" in done.stdout


def test_version():
    assert rnnkit("--version").output == f"keras-rnnkit {rk.__version__}\n"


def test_explain_prints_the_table(saved):
    done = rnnkit("explain", saved(rk.Stack(rk.GRU(3), num_layers=2, name="stack")))
    assert done.exit_code == 0
    assert done.output.count("hoisted") == 2


def test_explain_without_a_file(tmp_path):
    done = rnnkit("explain", tmp_path / "none.keras")
    assert (done.exit_code, done.output) == (2, f"There is no file {tmp_path / 'none.keras'}.\n")


@pytest.mark.parametrize("make", [lambda path: path.write_text("no model"), lambda path: path.mkdir()])
def test_explain_something_else(tmp_path, make):
    path = tmp_path / "model.h5"
    make(path)
    done = rnnkit("explain", path)
    assert done.exit_code == 2
    assert "is not a .keras file. Save the model with model.save('name.keras')." in done.output


def test_explain_an_archive_of_something_else(tmp_path):
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("letter.txt", "no model")
    done = rnnkit("explain", path)
    assert (done.exit_code, done.output.count("\n")) == (1, 1)
    assert "cannot be loaded" in done.output


def test_explain_a_model_without_recurrence(saved):
    done = rnnkit("explain", saved(keras.layers.Dense(2)))
    assert done.exit_code == 1
    assert "has no recurrent layer" in done.output


MODULE = """
import keras

@keras.saving.register_keras_serializable("somebody")
class Doubling(keras.layers.Layer):
    def call(self, x):
        return 2 * x
"""


def test_explain_a_layer_of_somebody_else(saved, tmp_path, monkeypatch):
    (tmp_path / "doubling.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    registered = keras.saving.get_custom_objects()
    from importlib import import_module

    path = saved(import_module("doubling").Doubling(), rk.LSTM(3))
    del registered["somebody>Doubling"], sys.modules["doubling"]

    done = rnnkit("explain", path)
    assert done.exit_code == 1
    assert "it has 'Doubling', which is not Keras' or ours" in done.output
    assert rnnkit("explain", path, "--import", "doubling").exit_code == 0

    done = rnnkit("explain", path, "--import", "trebling")
    assert done.exit_code == 2
    assert "there is no module 'trebling'" in done.output


def test_explain_a_lambda(saved):
    done = rnnkit("explain", saved(keras.layers.Lambda(lambda x: 2 * x), rk.LSTM(3)))
    assert done.exit_code == 1
    assert "it has a Lambda layer" in done.output

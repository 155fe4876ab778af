"""The package as it is installed: what it imports, what it exports, how it is called."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import keras_rnnkit as rk

ROOT = Path(__file__).parents[1]

BLOCK = """
import sys

class OnlyNumpy:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, OnlyNumpy())
"""
FRAMEWORKS = ("keras", "tensorflow", "jax", "torch", "onnx", "onnxruntime", "tf2onnx", "typer", "rich")


def python(code, blocked=FRAMEWORKS):
    """Runs code in a fresh process where the blocked packages are not installed."""
    code = BLOCK.format(blocked=blocked) + code
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120)


def test_the_core_needs_numpy_alone():
    done = python("import keras_rnnkit, keras_rnnkit.ops.numpy; print(keras_rnnkit.__version__)")
    assert done.stdout.strip() == rk.__version__, done.stderr


def test_a_layer_without_keras_names_the_extra():
    done = python("import keras_rnnkit as rk\ntry: rk.LSTM\nexcept AttributeError as error: print(error)")
    assert "keras_rnnkit.LSTM needs keras" in done.stdout, done.stderr
    assert "pip install 'keras-rnnkit[train]'" in done.stdout


def test_python_s_own_tools_work_without_any_extra():
    done = python(
        "import inspect, pydoc, keras_rnnkit as rk\n"
        "assert not hasattr(rk, 'LSTM') and 'LSTM' in dir(rk) and 'LSTM' not in rk.__all__\n"
        "assert pydoc.render_doc(rk) and dict(inspect.getmembers(rk))['text'] is rk.text\n"
        "from keras_rnnkit import *\n"
        "print(text.Vocabulary.__name__)"
    )
    assert done.stdout == "Vocabulary\n", done.stderr


def test_python_s_own_tools_work_with_all_extras():
    import pydoc

    assert "class LSTM" in pydoc.plain(pydoc.render_doc(rk))
    assert set(rk.__all__) == set(rk._NAMES)


def test_the_command_without_typer_names_the_extra():
    done = python("from keras_rnnkit.__main__ import main; main()")
    assert done.returncode == 1
    assert done.stderr == "rnnkit needs typer, which is not installed: pip install 'keras-rnnkit[train]'\n"


@pytest.mark.parametrize(
    ("command", "missing", "extra"),
    [(["demo"], "tensorflow", "train,export"), (["explain", "model.keras"], "keras", "train")],
)
def test_a_command_without_keras_ends_in_one_sentence(command, missing, extra, tmp_path):
    code = (
        f"import os, sys, zipfile; sys.path.insert(0, {str(ROOT)!r}); os.chdir({str(tmp_path)!r})\n"
        f"zipfile.ZipFile('model.keras', 'w').close(); sys.argv[1:] = {command!r}\n"
    )
    done = python(code + "from keras_rnnkit.__main__ import main; main()", ("keras", "tensorflow"))
    assert done.returncode == 1
    sentence = f"This command needs {missing}, which is not installed: pip install 'keras-rnnkit[{extra}]'\n"
    assert done.stderr == sentence


def test_every_public_name_resolves():
    assert all(getattr(rk, name) is not None for name in rk.__all__)
    assert set(rk.__all__) <= set(dir(rk))


def test_an_unknown_name_is_told_with_the_known_ones():
    with pytest.raises(AttributeError, match=r"no attribute 'LTSM'\. It has: LSTM"):
        _ = rk.LTSM


def test_the_version_is_the_distribution_s():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "keras_rnnkit/__init__.py"


def test_constraints_name_versions_only():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"]
    assert all(line.count("==") == 1 and "/" not in line for line in lines)


def test_no_public_name_is_also_a_module():
    """Importing keras_rnnkit.NAME as a module would put the module where the function was."""
    import importlib.util

    import keras_rnnkit as rk

    clashes = [name for name in rk.__all__ if importlib.util.find_spec(f"keras_rnnkit.{name}")]
    assert sorted(clashes) == sorted(name for name, home in rk._MODULES.items() if home == name)

"""What type checkers, editors and `help` say of our layers to somebody who writes a script."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import keras_rnnkit as rk

HERE = Path(__file__).parent
UNTYPED = ("keras", "tensorflow", "onnx", "onnxruntime", "tf2onnx")
FACADES = [rk.LSTM, rk.GRU, rk.VanillaRNN]
FROM_KERAS = {"zero_output_for_mask", "trainable", "dtype", "name"}
"""Arguments that the computed signature takes as **kwargs."""


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """What mypy says of the two scripts in a folder of their own, where the package is an installed one."""
    pytest.importorskip("mypy", reason="Needs mypy: pip install 'keras-rnnkit[dev]'")
    folder = tmp_path_factory.mktemp("user")
    sections = "".join(f"[mypy-{name}.*]\nignore_missing_imports = true\nfollow_imports = skip\n" for name in UNTYPED)
    (folder / "mypy.ini").write_text(f"[mypy]\n{sections}")
    for script in ("right.py", "wrong.py"):
        (folder / script).write_text((HERE / script).read_text(encoding="utf-8"), encoding="utf-8")
    cache = HERE.parents[1] / ".mypy_cache" / "user"
    command = [sys.executable, "-m", "mypy", f"--cache-dir={cache}", "right.py", "wrong.py"]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder).stdout


def reported(reports, script):
    """The number of each line that mypy finds wrong, with the kind of mistake."""
    found = re.findall(rf"^{script}:(\d+): error: .*\[([\w-]+)\]$", reports, re.MULTILINE)
    return {(int(line), kind) for line, kind in found}


def test_a_script_without_mistakes_passes(reports):
    assert "checked 2 source files" in reports, reports
    assert not reported(reports, "right.py"), reports


def test_every_mistake_of_a_script_is_reported_and_nothing_else(reports):
    lines = (HERE / "wrong.py").read_text(encoding="utf-8").splitlines()
    marked = {(i, line.split("# wrong: ")[1]) for i, line in enumerate(lines, 1) if "# wrong: " in line}
    assert reported(reports, "wrong.py") == marked, reports
    assert len(marked) == 12


@pytest.mark.parametrize("layer", FACADES)
def test_the_written_signature_is_the_computed_one(layer):
    tree = ast.parse(Path(inspect.getfile(layer)).read_text(encoding="utf-8"))
    (body,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == layer.__name__]
    (init,) = [node for node in ast.walk(body) if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
    parts = [
        f"{argument.arg}={ast.unparse(default)}" if default else argument.arg
        for argument, default in [*positional(init.args), *keywords(init.args)]
    ]
    parameters = [p for p in inspect.signature(layer).parameters.values() if p.kind is not p.VAR_KEYWORD]
    computed = [p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in parameters]
    assert [part for part in parts if part.partition("=")[0] not in FROM_KERAS] == computed
    assert {part.partition("=")[0] for part in parts} >= FROM_KERAS


def positional(arguments):
    names = arguments.args[1:]  # without self
    return list(zip(names, [None] * (len(names) - len(arguments.defaults)) + arguments.defaults, strict=True))


def keywords(arguments):
    return list(zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True))


@pytest.mark.parametrize("layer", FACADES)
def test_help_describes_every_argument(layer):
    text = inspect.getdoc(layer)
    names = set(inspect.signature(layer).parameters) - {"kwargs", "seed"}  # Keras does not describe SimpleRNN's seed
    assert not [name for name in names if not re.search(rf"\b{name}\b", text)]
    assert "Arguments:\n    units: width of the state." in text

"""`rnnkit train NAME` and `python pipelines/NAME.py`."""

import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import Mock

import pytest
import typer

from keras_rnnkit.cli.training import load_pipeline, pipeline_names, run_command
from keras_rnnkit.runs.errors import Interrupted, TrainingDiverged
from keras_rnnkit.text import TextError
from tests import forking

ROOT = Path(__file__).parents[1]


def python(*arguments, cwd=None):
    return subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, timeout=120, cwd=cwd)


def test_every_pipeline_is_a_command():
    assert {"captioning", "language_model", "translation", "words"} <= set(pipeline_names())
    for name in pipeline_names():
        pipeline = load_pipeline(name)
        assert pipeline is load_pipeline(name) and callable(pipeline.run) and pipeline.main.__doc__


@pytest.mark.parametrize("arguments", [["train", "--help"], ["train", "-h"], ["train", "translation", "--help"]])
def test_help_loads_no_framework(arguments):
    code = (
        f"import sys; sys.argv = ['rnnkit', *{arguments!r}]\n"
        "from keras_rnnkit.__main__ import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "print({'tensorflow', 'keras'} & set(sys.modules), file=sys.stderr)"
    )
    done = python("-c", code)
    assert done.stderr == "set()\n" and "Usage" in done.stdout


@pytest.mark.parametrize("name", ["series", "language_model"])
def test_help_has_room_for_its_texts_in_80_columns(name):
    """A switch that is off has no opposite beside it, and choices stand in the text."""
    from typer.testing import CliRunner

    from keras_rnnkit.cli import app

    shown = CliRunner().invoke(app, ["train", name, "--help"], terminal_width=80, env={"COLUMNS": "80"}).stdout
    assert max(map(len, shown.splitlines())) == 80 and len(shown.splitlines()) < 190
    words = " ".join(shown.replace("\u2502", " ").split())
    assert "--resume Continue the run" in words and "--no-resume" not in words
    assert "One of constant, halving, cosine, plateau. [default: constant]" in words
    assert ("--no-compare" if name == "series" else "--no-export") in words


def test_a_file_of_a_pipeline_runs_from_any_folder(tmp_path):
    done = python(ROOT / "pipelines" / "words.py", "--help", cwd=tmp_path)
    assert "--held-out" in done.stdout and not done.stderr


def test_an_unknown_pipeline_is_a_usage_error():
    done = python("-m", "keras_rnnkit", "train", "nothing")
    assert done.returncode == 2 and "No such command 'nothing'" in done.stderr


def test_missing_packages_are_named_before_the_data_is_read(tmp_path):
    code = (
        "import sys\n"
        "class Without:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('tf2onnx', 'matplotlib'): raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Without())\n"
        "sys.argv = ['rnnkit', 'train', 'language_model', '--data', 'nowhere.txt']\n"
        "from keras_rnnkit.__main__ import main\n"
        "main()"
    )
    done = python("-c", code, cwd=tmp_path)
    assert done.returncode == 2 and done.stderr == (
        "This run needs tf2onnx and matplotlib, which are not installed: pip install 'keras-rnnkit[export,plot]'\n"
    )
    assert not list(tmp_path.iterdir())


def test_an_error_of_the_user_is_one_sentence(tmp_path):
    sentence = "There is no file 'nowhere.txt'. Give a file with one word per line."
    done = forking.python(
        "-m", "keras_rnnkit", "train", "words", "--data", "nowhere.txt", cwd=tmp_path, with_keras=True
    )
    assert done.returncode == 2 and done.stderr == f"{sentence}\n", done.stderr


@dataclass(frozen=True)
class Settings:
    packages = {}


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (
            Interrupted(signal.SIGINT, Path(__file__)),
            130,
            "with:\n\n    rnnkit train words --units 8 --resume",
        ),
        (Interrupted(signal.SIGTERM, Path("nowhere")), 143, "Interrupted.\n"),
        (TrainingDiverged("Training diverged: the loss is nan."), 1, "Training diverged: the loss is nan.\n"),
        (TextError("There is no file."), 2, "There is no file.\n"),
    ],
)
def test_how_a_run_ends_is_told_in_a_sentence_and_the_exit_code(error, code, words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/rnnkit", "train", "words", "--units", "8", "--overwrite"])
    with pytest.raises(typer.Exit) as ending:
        run_command(Mock(side_effect=error), Settings())
    assert ending.value.exit_code == code and words in capsys.readouterr().err


def test_other_errors_keep_their_traceback():
    with pytest.raises(ZeroDivisionError):
        run_command(Mock(side_effect=ZeroDivisionError), Settings())

"""`rnnkit train NAME` and `python pipelines/NAME.py`."""

import subprocess
import sys
from pathlib import Path

import pytest

from keras_rnnkit.cli.training import load_pipeline, pipeline_names

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
    done = python("-m", "keras_rnnkit", "train", "words", "--data", "nowhere.txt", cwd=tmp_path)
    assert done.returncode == 2 and done.stderr == "There is no file 'nowhere.txt'.\n", done.stderr

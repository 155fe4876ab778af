"""`rnnkit launch`: all workers start again when one fails, a limited number of times, and end together."""

import os
import signal
import sys
import threading
import time

import pytest
from typer.testing import CliRunner

from keras_rnnkit.cli import app
from keras_rnnkit.cluster import ClusterError
from keras_rnnkit.cluster.supervisor import LaunchSettings, Supervisor

BEGIN = """
import json, os, pathlib, sys, time
folder, attempt = pathlib.Path(sys.argv[1]), int(os.environ["RNNKIT_ATTEMPT"])
task = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
beat = pathlib.Path(os.environ["RNNKIT_HEARTBEATS"]) / f"worker{task}"
(folder / f"started{task}.{attempt}").write_text(str(os.getpid()))
"""


def supervised(code, folder, workers="2", **settings):
    """(exit code, what was said) of workers that run a program."""
    said = []
    command = (sys.executable, "-S", "-c", BEGIN + code, str(folder))
    settings = {"pause": 0.1, "grace": 1.0, **settings}
    return Supervisor(LaunchSettings(workers, command, **settings), said.append).run(), said


def starts(folder):
    return sorted(path.name for path in folder.glob("started*"))


def test_all_start_again_when_one_dies(tmp_path):
    code = "if task == 1 and attempt == 0: os.kill(os.getpid(), 9)\nif attempt == 0: time.sleep(60)"
    result, said = supervised(code, tmp_path)
    assert result == 0 and starts(tmp_path) == ["started0.0", "started0.1", "started1.0", "started1.1"]
    assert said == ["Worker 1 was ended by SIGKILL. All workers start again in 0 s (1 of 5 times)."]


def test_the_number_of_restarts_is_limited(tmp_path):
    result, said = supervised("sys.exit(7)", tmp_path, workers="1", restarts=2)
    assert result == 7 and len(starts(tmp_path)) == 3
    assert said[-1].endswith("They have been started 3 times, and are not started again.")


def test_refused_settings_are_not_tried_again(tmp_path):
    result, said = supervised("sys.exit(2)", tmp_path, workers="1")
    assert result == 2 and len(starts(tmp_path)) == 1 and "refused its settings" in said[0]


def test_a_stopped_worker_is_silent_and_all_start_again(tmp_path):
    code = "beat.touch()\nif attempt == 0: os.kill(os.getpid(), 19)"
    result, said = supervised(code, tmp_path, workers="1", silence=0.5)
    assert result == 0 and "has not trained for" in said[0] and len(starts(tmp_path)) == 2


def test_silence_is_no_failure_before_and_after_training(tmp_path):
    assert supervised("time.sleep(1)", tmp_path, workers="1", silence=0.3)[0] == 0
    assert supervised("beat.touch(); beat.unlink(); time.sleep(1)", tmp_path, workers="1", silence=0.3)[0] == 0


def test_nothing_is_left_running_after_a_signal(tmp_path):
    """One worker ends politely, the other one must be killed."""
    code = (
        "import signal\nsignal.signal(15, signal.SIG_IGN if task else lambda *_: sys.exit(143))\n"
        "(folder / f'ready{task}').touch()\ntime.sleep(60)"
    )

    def ask():
        until = time.monotonic() + 20
        while len(list(tmp_path.glob("ready*"))) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=ask).start()
    result, said = supervised(code, tmp_path)
    assert result in (143, 137) and said == []
    for path in tmp_path.glob("started*"):
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.read_text()), 0)


def test_output_has_the_number_of_the_worker(tmp_path, capfdbinary):
    supervised("print('a line')", tmp_path)
    assert sorted(capfdbinary.readouterr().out.splitlines()) == [b"[0] a line", b"[1] a line"]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"workers": "0", "command": ("x",)}, "--workers must be 1 or more"),
        ({"workers": "2", "command": ()}, "The command is missing"),
        ({"workers": "2", "command": ("x",), "index": 0}, "--index goes with a list of addresses"),
        ({"workers": "2", "command": ("x",), "restarts": -1}, "--restarts must be 0 or more. Received: -1"),
    ],
)
def test_refusals(settings, sentence):
    with pytest.raises(ClusterError, match=sentence):
        LaunchSettings(**settings)


def test_the_command():
    done = CliRunner().invoke(
        app, ["launch", "--workers", "1", "--", sys.executable, "-S", "-c", "raise SystemExit(0)"]
    )
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(app, ["launch", "--workers", "1", "--", "no-such-command"])
    assert done.exit_code == 2 and "The command 'no-such-command' cannot be started" in done.output

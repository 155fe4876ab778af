"""Our layers pass the tests of Keras' own, and the script that says so would notice if it had run nothing of ours."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.covering import studied
from tests.forking import python
from tests.peer.run import BUILDS_NONE, NOT_APPLICABLE, STAND_INS, Tally

RUN = Path(__file__).with_name("run.py")
NO_TENSORFLOW = """
import runpy, sys
sys.argv = ["run.py", "--help"]
try:
    runpy.run_path({path!r}, run_name="__main__")
finally:
    assert not {{"keras", "keras_rnnkit", "tensorflow"}} & set(sys.modules)
"""


QUICK = ("tensorflow", "lstm_test or stacked_rnn_cells_test")
"""A layer and cells. All files take half a minute, on JAX minutes, most of it tracing."""


@studied("backend, files", [QUICK, *((backend, "") for backend in NOT_APPLICABLE)], [QUICK])
def test_keras_own_tests_pass_on_our_layers(backend, files):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed, so Keras' tests cannot run on it: pip install 'keras-rnnkit[test]'")
    done = python(
        RUN, "--backend", backend, *(("-k", files) if files else ()), timeout=900, with_keras=backend == "tensorflow"
    )
    print(done.stdout[-8000:])
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


def test_help_names_the_stand_ins_and_loads_no_tensorflow():
    code = NO_TENSORFLOW.format(path=str(RUN))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert all(f"keras_rnnkit.{ours}" in done.stdout for ours in STAND_INS.values())


@pytest.fixture
def tally():
    """A run with nothing to complain about."""
    tally = Tally()
    tally.passed["lstm_test.py"] += 1
    tally.ours["lstm_test.py"]["LSTM"] += 1
    assert tally.complaints("jax") == []
    return tally


def test_a_file_that_builds_nothing_of_ours_is_a_failure(tally):
    tally.ours["lstm_test.py"].clear()
    assert tally.complaints("jax") == ["lstm_test.py built no instance of our classes, so it says nothing about them."]


def test_a_file_named_as_building_nothing_is_not(tally):
    tally.passed[next(iter(BUILDS_NONE))] += 1
    assert tally.complaints("jax") == []


def test_a_stock_class_is_a_failure(tally):
    tally.stock["lstm_test.py"]["LSTM"] += 1
    assert tally.complaints("jax") == ["lstm_test.py built Keras' own LSTM."]


def test_a_skip_without_a_named_reason_is_a_failure(tally):
    tally.skipped["gru_test.py"].append("gru_test.py::GRUTest::test_stateful_with_symbolic_batch_size")
    assert tally.complaints("jax") == []
    (complaint,) = tally.complaints("tensorflow")
    assert "test_stateful_with_symbolic_batch_size was skipped" in complaint

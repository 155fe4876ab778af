"""Where the start of a group fails after its workers have greeted each other, it ends with a sentence."""

import pytest

from tests.forking import python

STUCK = """
import sys, time
from keras_rnnkit.training.distributed.engines import ending_if_stuck
with ending_if_stuck(float(sys.argv[1])):
    time.sleep(float(sys.argv[2]))
time.sleep(0.5)
"""


def test_a_process_that_is_stuck_is_ended():
    done = python("-c", STUCK, "0.2", "30", with_keras=True)
    assert done.returncode == -9 and "did not start TensorFlow within 0 seconds" in done.stderr


def test_a_process_that_is_not_stuck_is_left_alone():
    done = python("-c", STUCK, "0.4", "0", with_keras=True)
    assert done.returncode == 0 and done.stderr == ""


@pytest.mark.study
@pytest.mark.parametrize("dying", [0, 1])
def test_a_worker_that_dies_before_tensorflow_is_there(dying, tmp_path):
    done = python("-W", "ignore", "-m", "tests.distributed.lost_start", tmp_path, dying, with_keras=True)
    assert done.stdout.strip() == ("[5, -9]" if dying == 0 else "[-9, 5]"), done.stderr[-2000:]
    assert "did not start TensorFlow within 5 seconds" in (tmp_path / f"output{1 - dying}").read_text()

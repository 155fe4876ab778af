"""`--distribute ray`: two workers that Ray starts on this machine train the model of one process, also after a kill."""

import importlib.util
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import numpy as np
import pytest

from keras_rnnkit.cluster import ClusterError
from keras_rnnkit.cluster.ray_group import resources_of_worker
from tests.distributed.processes import wait_for_checkpoints
from tests.forking import python

SMOKE = ["language_model", "--smoke", "--batch", "8", "--checkpoint-every", "20", "--no-export"]
needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None,
    reason="Ray is not installed: pip install 'keras-rnnkit[ray-train]'",
)


class Driver:
    """A run of `rnnkit train` that starts a Ray of its own, whose processes have a mark in their environment."""

    def __init__(self, folder, *arguments):
        self.mark = f"RNNKIT_TEST_OF_RAY={uuid.uuid4().hex}"
        name, _, value = self.mark.partition("=")
        local = {name: value, "CUDA_VISIBLE_DEVICES": "", "RAY_USAGE_STATS_ENABLED": "0", "PYTHONWARNINGS": "ignore"}
        # Ray's workers find the package by PYTHONPATH, wherever the driver runs.
        local |= {"PYTHONPATH": str(Path(__file__).parents[2])}
        command = [sys.executable, "-m", "keras_rnnkit", "train", *arguments, "--distribute", "ray", "--workers", "2"]
        self.output = folder / "output.txt"
        with self.output.open("w") as output:
            streams = {"stdout": output, "stderr": subprocess.STDOUT}
            self.process = subprocess.Popen(command, cwd=folder, env=os.environ | local, **streams)

    def workers(self):
        """The numbers of the processes that train."""
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command, environment = ((folder / name).read_bytes() for name in ("cmdline", "environ"))
            except OSError:  # it has ended
                continue
            if command.startswith(b"ray::") and b"RayTrainWorker" in command and self.mark.encode() in environment:
                yield int(folder.name)

    def wait(self):
        try:
            return self.process.wait(timeout=900), self.output.read_text(errors="replace")
        except subprocess.TimeoutExpired:
            self.process.terminate()  # which ends its Ray, too
            self.process.wait(timeout=60)
            raise AssertionError(self.output.read_text(errors="replace")[-3000:]) from None


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The weights of one process."""
    folder = tmp_path_factory.mktemp("alone")
    done = python("-m", "keras_rnnkit", "train", *SMOKE, "--out", folder / "run")
    assert done.returncode == 0, done.stderr[-3000:]
    return np.load(folder / "run" / "best.npz")


def check(folder, alone):
    best = np.load(folder / "best.npz")
    for name in alone.files:
        if name != "run":
            np.testing.assert_allclose(best[name], alone[name], atol=1e-4)  # float32, and an epoch of Adam
    assert (folder / "report" / "index.html").exists()


@needs_ray
@pytest.mark.study
def test_two_workers_train_the_model_of_one(alone, tmp_path):
    code, output = Driver(tmp_path, *SMOKE, "--out", "run").wait()  # a path as the driver sees it
    assert code == 0, output[-3000:]
    check(tmp_path / "run", alone)


@needs_ray
@pytest.mark.study
def test_a_killed_worker_changes_nothing(alone, tmp_path):
    driver = Driver(tmp_path, *SMOKE, "--out", "run")
    wait_for_checkpoints(tmp_path / "run", driver.process)
    killed = max(driver.workers())
    os.kill(killed, signal.SIGKILL)
    code, output = driver.wait()
    assert code == 0 and "resumed   epoch 1" in output, output[-3000:]
    check(tmp_path / "run", alone)


@needs_ray
@pytest.mark.study
def test_what_workers_refuse_is_not_tried_again(tmp_path):
    code, output = Driver(tmp_path, "language_model", "--data", "missing.txt", "--out", "run").wait()
    sentence = f"There is no file '{tmp_path / 'missing.txt'}'."
    assert code == 2 and any(line.startswith(sentence) for line in output.splitlines()), output[-3000:]
    assert output.count("Started training worker group") == 1


@pytest.mark.parametrize(
    ("machines", "workers", "resources"),
    [
        ([{"CPU": 2}], 2, {"CPU": 1.0}),
        ([{"CPU": 4}] * 3, 2, {"CPU": 4.0}),  # 12 cores are 6 for each, which no machine has
        ([{"CPU": 8, "GPU": 4}, {"CPU": 8}], 2, {"CPU": 4.0, "GPU": 2.0}),
        ([{"CPU": 16, "GPU": 1}] * 4, 4, {"CPU": 16.0, "GPU": 1.0}),
        ([{"CPU": 4, "GPU": 1}, {"CPU": 4}], 2, {"CPU": 4.0}),  # not every worker can have a GPU
    ],
)
def test_resources_of_workers(machines, workers, resources):
    assert resources_of_worker(machines, workers) == resources


def test_more_workers_than_cores():
    with pytest.raises(ClusterError, match="5 workers need a core each, and the Ray cluster has 4"):
        resources_of_worker([{"CPU": 4}], 5)

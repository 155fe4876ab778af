"""The pipelines on workers: the weights of a run alone, and files that the chief alone has written."""

import csv
import functools
import os
import signal
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from keras_rnnkit.cli import app
from tests.distributed.processes import wait_for_checkpoints
from tests.distributed.runs_of_pipelines import SETTINGS
from tests.forking import python

OF_WORKERS = ("training*.worker1.ckpt", "training*.previous.ckpt", "best*.worker1.npz")
"""Files that a run alone does not write."""

ARGUMENTS = {
    "language_model": ["--smoke", "--batch", "8", "--checkpoint-every", "20", "--no-export"],
    "translation": ["--smoke", "--no-compare"],
}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The folder of a run of a pipeline in one process."""
    folder = tmp_path_factory.mktemp("alone")

    @functools.cache
    def run(pipeline):
        done = python("-m", "keras_rnnkit", "train", pipeline, *ARGUMENTS[pipeline], "--out", folder / pipeline)
        assert done.returncode == 0, done.stderr[-3000:]
        return folder / pipeline

    return run


def check(folder, alone, tolerance=1e-4):
    """The same weights and numbers of all models, and no files but those of the run alone and of the workers.

    The weights are float32. After an epoch of many steps of Adam they differ by more than after a few.
    """
    files = [{str(path.relative_to(each)) for path in each.rglob("*")} for each in (folder, alone)]
    assert files[1] <= files[0]
    assert all(any(fnmatch(name, pattern) for pattern in OF_WORKERS) for name in files[0] - files[1])
    for name in sorted(files[1]):
        if fnmatch(name, "best*.npz"):
            compare_weights(*(np.load(each / name) for each in (folder, alone)), tolerance)
        elif fnmatch(name, "log*.csv"):
            compare_logs(*(csv_rows(each / name) for each in (folder, alone)), tolerance)


def compare_weights(weights, expected, tolerance):
    for name in expected.files:
        if name != "run":
            np.testing.assert_allclose(weights[name], expected[name], rtol=0, atol=tolerance)


def csv_rows(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def compare_logs(rows, expected, tolerance):
    assert len(rows) == len(expected)
    for row, numbers in zip(rows, expected, strict=True):
        for name in ("loss", "val_loss", "gradient_norm"):
            assert float(row[name]) == pytest.approx(float(numbers[name]), abs=tolerance, rel=tolerance)


def launched(pipeline, folder):
    """A process of `rnnkit launch` that trains a pipeline on two workers, and the file of what it prints."""
    train = ["-W", "ignore", "-m", "keras_rnnkit", "train", pipeline, *ARGUMENTS[pipeline], "--out", str(folder)]
    command = ["-m", "keras_rnnkit", "launch", "--workers", "2", "--pause", "0.1", "--restarts", "1", "--"]
    output = folder.with_name("output.txt")
    with output.open("w") as stream:
        arguments = [sys.executable, *command, sys.executable, *train, "--distribute", "workers"]
        return subprocess.Popen(arguments, stdout=stream, stderr=subprocess.STDOUT), output


def worker(launcher, index):
    """The process of a worker, by what `rnnkit launch` has told it."""
    for child in Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split():
        if f'"index": {index}'.encode() in Path(f"/proc/{child}/environ").read_bytes():
            return int(child)
    raise AssertionError(f"worker {index} does not run")


@pytest.mark.study
@pytest.mark.parametrize("pipeline", ARGUMENTS)
def test_two_workers_train_the_model_of_one(pipeline, alone, tmp_path):
    launcher, output = launched(pipeline, tmp_path / "run")
    assert launcher.wait(timeout=580) == 0, output.read_text()[-3000:]
    assert "start again" not in output.read_text()
    check(tmp_path / "run", alone(pipeline))


@pytest.mark.study
@pytest.mark.parametrize(
    ("pipeline", "interrupted"),
    [*((name, []) for name in SETTINGS), ("series", ["interrupted"]), ("captioning", ["interrupted"])],
)
def test_two_workers_train_all_models_of_a_run(pipeline, interrupted, tmp_path):
    """Interrupted: in the training of the second model, and resumed."""
    arguments = "-W", "ignore", "-m", "tests.distributed.runs_of_pipelines", pipeline, tmp_path, *interrupted
    done = python(*arguments, timeout=1200, with_keras=True)
    assert done.returncode == 0, done.stderr[-6000:]
    check(tmp_path / "together", tmp_path / "alone", tolerance=1e-6)


@pytest.mark.study
@pytest.mark.parametrize("index", [0, 1])
def test_a_worker_that_is_killed_in_an_epoch_changes_nothing(index, alone, tmp_path):
    launcher, output = launched("language_model", tmp_path / "run")
    wait_for_checkpoints(tmp_path / "run", launcher)
    os.kill(worker(launcher, index), signal.SIGKILL)
    assert launcher.wait(timeout=580) == 0, output.read_text()[-3000:]
    lines = output.read_text()
    assert f"Worker {index} was ended by SIGKILL. All workers start again" in lines
    assert "resumed   epoch 1, batch" in lines and "batch 1\n" not in lines  # in the middle of the epoch
    check(tmp_path / "run", alone("language_model"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["glimpses", "--distribute", "mirrored"], "glimpses cannot be distributed: its model chooses at random where"),
        (["gradient_flow", "--distribute", "workers"], "it measures the gradients of many small networks between"),
        (["words", "--distribute", "workers", "--profile"], "--profile is for one machine"),
        (["words", "--distribute", "workers", "--workers", "a:1,b:1"], "--workers needs --index"),
        (["words", "--workers", "a:1,b:1", "--index", "0"], "--workers and --index go with --distribute workers"),
        (["words", "--distribute", "mirrored", "--workers", "2"], "--workers and --index go with --distribute workers"),
        (["words", "--distribute", "workers", "--workers", "a:1,b", "--index", "0"], "must be host:port"),
    ],
)
def test_refusals(arguments, sentence, tmp_path):
    done = CliRunner().invoke(app, ["train", *arguments, "--out", str(tmp_path / "run")])
    assert done.exit_code in (1, 2) and sentence in done.output
    assert not (tmp_path / "run").exists()

"""The pipelines on workers: the weights of a run alone, and files that the chief alone has written."""

import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from keras_rnnkit.cli import app
from keras_rnnkit.cluster.supervisor import LaunchSettings, Supervisor
from tests.forking import python

CHECKPOINTS = {"training.worker1.ckpt", "training.worker1.previous.ckpt", "training.previous.ckpt"}
ARGUMENTS = {
    "language_model": ["--smoke", "--batch", "8", "--checkpoint-every", "20", "--no-export"],
    "translation": ["--smoke", "--no-compare"],
}


@pytest.mark.study
@pytest.mark.parametrize("pipeline", ARGUMENTS)
def test_two_workers_train_the_model_of_one(pipeline, tmp_path):
    command = ["-m", "keras_rnnkit", "train", pipeline, *ARGUMENTS[pipeline], "--out"]
    done = python(*command, tmp_path / "one")
    assert done.returncode == 0, done.stderr[-3000:]
    distributed = [*command, str(tmp_path / "two"), "--distribute", "workers"]
    said = []
    settings = LaunchSettings("2", (sys.executable, "-W", "ignore", *distributed), restarts=0)
    assert Supervisor(settings, said.append).run() == 0, said
    one, two = (np.load(tmp_path / folder / "best.npz") for folder in ("one", "two"))
    for name in one.files:
        if name != "run":
            np.testing.assert_allclose(two[name], one[name], atol=1e-4)  # float32, and an epoch of Adam
    files = [{str(path.relative_to(tmp_path / n)) for path in (tmp_path / n).rglob("*")} for n in ("one", "two")]
    assert files[1] - files[0] <= CHECKPOINTS and files[0] <= files[1]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["frames", "--distribute", "mirrored"], "frames cannot be trained on several devices yet"),
        (["words", "--distribute", "workers", "--profile"], "--profile is for one machine"),
        (["translation", "--distribute", "mirrored", "--compare"], "Leave out the comparison"),
        (["words", "--distribute", "workers", "--workers", "a:1,b:1"], "--workers needs --index"),
        (["words", "--distribute", "workers", "--workers", "a:1,b", "--index", "0"], "must be host:port"),
    ],
)
def test_refusals(arguments, sentence, tmp_path):
    done = CliRunner().invoke(app, ["train", *arguments, "--out", str(tmp_path / "run")])
    assert done.exit_code in (1, 2) and sentence in done.output
    assert not (tmp_path / "run").exists()

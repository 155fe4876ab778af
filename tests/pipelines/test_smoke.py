"""Every pipeline with --smoke: all stages, in seconds."""

import json

import pytest

import keras_rnnkit as rk
from keras_rnnkit.cli.training import pipeline_names


@pytest.mark.parametrize("name", pipeline_names())
def test_every_stage_of_every_pipeline(name, smoke_run):
    folder = smoke_run(name).folder
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert (record["pipeline"], record["status"]) == (name, "complete")
    names = {"run.json", "log.csv", "training.ckpt", "best.npz", "report", "bundle"}
    assert names <= {path.name for path in folder.iterdir()}
    assert (folder / "report" / "index.html").read_text(encoding="utf-8").count("data:image/png") >= 2
    assert rk.runtime.load(folder / "bundle")

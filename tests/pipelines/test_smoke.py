"""Every pipeline with --smoke: all stages, in seconds."""

import json

import pytest

import keras_rnnkit as rk
from keras_rnnkit.cli.training import load_pipeline, pipeline_names


@pytest.mark.parametrize("name", pipeline_names())
def test_every_stage_of_every_pipeline(name, tmp_path):
    pipeline = load_pipeline(name)
    pipeline.run(pipeline.Settings(smoke=True, out=tmp_path))
    record = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert (record["pipeline"], record["status"]) == (name, "complete")
    names = {"run.json", "log.csv", "training.ckpt", "best.npz", "report", "bundle"}
    assert names <= {path.name for path in tmp_path.iterdir()}
    assert (tmp_path / "report" / "index.html").read_text(encoding="utf-8").count("data:image/png") >= 2
    assert rk.runtime.load(tmp_path / "bundle")

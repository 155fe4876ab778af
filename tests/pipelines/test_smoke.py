"""Every pipeline with --smoke: all stages, in seconds."""

import json
import shutil

import pytest

import keras_rnnkit as rk
from keras_rnnkit.cli.training import load_pipeline, pipeline_names
from keras_rnnkit.settings import SettingsError
from tests.covering import studied
from tests.pipelines.conftest import EAGER


@pytest.mark.parametrize("name", pipeline_names())
def test_every_stage_of_every_pipeline(name, smoke_run):
    folder = smoke_run(name).folder
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert (record["pipeline"], record["status"]) == (name, "complete")
    names = {"run.json", "log.csv", "training.ckpt", "best.npz", "report", "bundle"}
    assert names <= {path.name for path in folder.iterdir()}
    assert (folder / "report" / "index.html").read_text(encoding="utf-8").count("data:image/png") >= 2
    assert rk.runtime.load(folder / "bundle")


@pytest.mark.study
@pytest.mark.parametrize("name", sorted(EAGER))
def test_a_training_in_a_graph(name, tmp_path):
    """The fixture `smoke_run` runs these pipelines eagerly."""
    pipeline = load_pipeline(name)
    pipeline.run(pipeline.Settings(smoke=True, out=tmp_path))
    assert json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))["status"] == "complete"


def numbers(values, path=()):
    """The numbers of nested dicts, by the names on the way to them."""
    if isinstance(values, dict):
        return {key: x for name, value in values.items() for key, x in numbers(value, (*path, name)).items()}
    return {path: values} if isinstance(values, (int, float)) and "seconds" not in path else {}


JUDGE_BUNDLES = [name for name in pipeline_names() if load_pipeline(name).Settings.JUDGES_BUNDLES]


@studied("name", JUDGE_BUNDLES, ["frames", "series"])
def test_a_bundle_without_its_run_is_judged_as_in_it(name, smoke_run, tmp_path):
    folder, _, metrics = smoke_run(name)
    for bundle in folder.glob("bundle*"):
        shutil.copytree(bundle, tmp_path / bundle.name)
    pipeline, other = load_pipeline(name), "sentiment" if name == "series" else "series"
    settings = pipeline.Settings(smoke=True, evaluate=tmp_path / "bundle")
    assert settings.out == tmp_path / "bundle_evaluation"
    before, again = numbers(metrics), numbers(pipeline.run(settings))
    both = set(before) & set(again)
    assert len(both) >= 3 and {key: again[key] for key in both} == pytest.approx({key: before[key] for key in both})
    assert (settings.out / "report" / "index.html").exists() and not list(tmp_path.glob("bundle*/*.npz"))
    wrong = load_pipeline(other)
    with pytest.raises(SettingsError, match=f"is no bundle of {other} with these settings|There is no bundle"):
        wrong.run(wrong.Settings(smoke=True, evaluate=tmp_path / "bundle", out=tmp_path / "other"))


def test_bundles_that_need_the_weights_of_keras_are_refused_without_their_run(tmp_path):
    assert set(JUDGE_BUNDLES) == {"series", "sentiment", "frames", "glimpses", "drawing"}
    (tmp_path / "manifest.json").write_text("{}")
    for name in set(pipeline_names()) - set(JUDGE_BUNDLES):
        with pytest.raises(SettingsError, match="are in best.npz of that folder. Give the folder that the run wrote"):
            load_pipeline(name).Settings(evaluate=tmp_path)

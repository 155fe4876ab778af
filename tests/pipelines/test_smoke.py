"""Every pipeline with --smoke: all stages, in seconds."""

import contextlib
import hashlib
import json
import math
import shutil

import pytest

import keras_rnnkit as rk
from keras_rnnkit.cli.training import load_pipeline, pipeline_names
from keras_rnnkit.settings import SettingsError
from tests.covering import studied
from tests.pipelines.conftest import EAGER
from tests.pipelines.keras_outputs import differences, record_of


@pytest.mark.parametrize("name", pipeline_names())
def test_every_stage_of_every_pipeline(name, smoke_run):
    folder = smoke_run(name).folder
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert (record["pipeline"], record["status"]) == (name, "complete")
    names = {"run.json", "log.csv", "training.ckpt", "best.npz", "report", "bundle"}
    assert names <= {path.name for path in folder.iterdir()}
    assert (folder / "report" / "index.html").read_text(encoding="utf-8").count("data:image/png") >= 2
    assert rk.runtime.load(folder / "bundle")


@pytest.mark.parametrize("name", pipeline_names())
def test_every_graph_of_every_bundle_equals_keras(name, smoke_run):
    """Both by the record of the export and by running the graphs, on inputs that the export did not try."""
    bundles = list(smoke_run(name).folder.glob("bundle*"))
    for bundle in bundles:
        graphs = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))["graphs"]
        assert all(graph["error"] <= graph["tolerance"] == 1e-5 for graph in graphs.values())
        assert all(error <= 1e-5 for error in differences(bundle).values()), differences(bundle)
    assert bundles


@studied("name", pipeline_names(), ["words", "captioning"])
def test_a_graph_with_one_other_matrix_is_noticed(name, smoke_run, tmp_path):
    for bundle in smoke_run(name).folder.glob("bundle*"):
        copy = shutil.copytree(bundle, tmp_path / "run" / bundle.name)
        shutil.copy(record_of(bundle), record_of(copy))
        manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
        for mode, graph in manifest["graphs"].items():
            with another_matrix(copy, manifest, graph["file"]):
                noticed = differences(copy)
            assert noticed.pop(mode) > 1e-5 and max(noticed.values(), default=0.0) <= 1e-5


@contextlib.contextmanager
def another_matrix(bundle, manifest, name):
    """Inside, the largest matrix of a file of the bundle is larger by a tenth."""
    import onnx

    before, listing = (bundle / name).read_bytes(), (bundle / "manifest.json").read_bytes()
    model = onnx.load_from_string(before)
    matrices = [x for x in model.graph.initializer if x.data_type == onnx.TensorProto.FLOAT]
    largest = max(matrices, key=lambda x: math.prod(x.dims))
    largest.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(largest) * 1.1, largest.name))
    content = model.SerializeToString()
    entry = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    (bundle / name).write_bytes(content)
    (bundle / "manifest.json").write_text(json.dumps({**manifest, "files": {**manifest["files"], name: entry}}))
    yield
    (bundle / name).write_bytes(before)
    (bundle / "manifest.json").write_bytes(listing)


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

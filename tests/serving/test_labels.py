"""The names of a classifier's labels: in the manifest, the runtime, the list of models and on the command line."""

import json
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

import keras_rnnkit as rk
from keras_rnnkit.cli import app
from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.serving.models.description import description

NAMES = ["cold", "fine", "hot"]


def test_a_bundle_has_them(view_bundles):
    manifest = json.loads((view_bundles / "faults/manifest.json").read_text())
    bundle = rk.runtime.load(view_bundles / "faults")
    assert manifest["labels"] == bundle.labels == description(bundle)["labels"] == NAMES
    assert rk.runtime.load(view_bundles / "waves").labels is None


def test_a_bundle_of_before_has_none(view_bundles, tmp_path):
    folder = shutil.copytree(view_bundles / "faults", tmp_path / "faults")
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["labels"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert rk.runtime.load(folder).labels is None


def test_predict_names_them(view_bundles, tmp_path):
    inputs = {"sensors": np.zeros((1, 2, 3), "float32"), "station": np.zeros((1, 4), "float32")}
    np.savez(tmp_path / "x.npz", **inputs)
    done = CliRunner().invoke(app, ["predict", str(view_bundles / "faults"), str(tmp_path / "x.npz")])
    assert done.exit_code == 0 and "[1, 3], of cold, fine, hot\n" in done.output


@pytest.mark.parametrize("labels", [[], ["a", "a"], ["a", ""], ["a", 1], "ab"])
def test_names_that_name_nothing(labels, tmp_path):
    with pytest.raises(ExportError, match="labels must be texts that all differ, one for each label"):
        rk.export_bundle(None, tmp_path / "bundle", labels=labels)
    assert list(tmp_path.iterdir()) == []

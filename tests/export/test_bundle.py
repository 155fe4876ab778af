"""Bundles: everything a server needs, whole or not there, and what it says of itself is true."""

import dataclasses
import hashlib
import json
import os
import signal

import keras
import numpy as np
import pytest

import keras_rnnkit as rk
from keras_rnnkit.export import road as make
from keras_rnnkit.export.errors import ExportError
from tests.export.conftest import randomised
from tests.export.table import sequential
from tests.forking import python

L = keras.layers


def reader():
    return randomised(sequential(rk.LSTM(4, return_sequences=True, name="memory"), L.Dense(2, name="out")))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    model, folder = reader(), tmp_path_factory.mktemp("bundles") / "reader"
    stages = []
    return model, folder, rk.export_bundle(model, folder, progress=stages.append), stages


def test_no_error_at_all_is_an_error_of_zero(written):
    report = written[2]
    exact = {mode: dataclasses.replace(each, error=0.0) for mode, each in report.reports.items()}
    assert dataclasses.replace(report, reports=exact, saved_model=None).error == 0.0
    assert dataclasses.replace(report, reports={}, saved_model=None).error is None


def test_the_manifest_describes_every_file(written):
    _, folder, _, _ = written
    manifest = json.loads((folder / "manifest.json").read_text())
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert set(manifest["files"]) == present - {"manifest.json"} > {"sequence.onnx", "step.onnx"}
    for name, known in manifest["files"].items():
        content = (folder / name).read_bytes()
        assert known == {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    sequence, stream = manifest["graphs"]["sequence"], manifest["graphs"]["stream"]
    assert sequence["inputs"] == {"x": ["batch", "time", 3]} and sequence["outputs"] == {"out": ["batch", "time", 2]}
    assert stream["states"] == [["state_0", "next_state_0"], ["state_1", "next_state_1"]]
    assert [(row["layer"], row["lowering"]) for row in stream["layers"]] == [("memory", "LSTM")]
    assert 0 <= sequence["error"] < 1e-5 and manifest["saved_model"]["signatures"] == ["sequence", "stream"]
    assert manifest["versions"]["keras"] == keras.__version__


def test_it_predicts_and_streams(written):
    model, folder, _, _ = written
    bundle = rk.runtime.load(folder)
    x = np.random.default_rng(0).normal(size=(3, 7, 3)).astype("float32")
    expected = keras.ops.convert_to_numpy(model(x))
    np.testing.assert_allclose(bundle.predict(x), expected, atol=1e-5)
    stream = bundle.stream(rows=3)
    found = [stream.push(x[:, :2]), stream.push(x[:, 2:3]), stream.push(x[:, 3:])]
    np.testing.assert_allclose(np.concatenate(found, axis=1), expected, atol=1e-5)


def test_progress_tells_each_stage(written):
    *_, stages = written
    assert stages == [
        "sequence: tracing",
        "sequence: verifying",
        "stream: tracing",
        "stream: verifying",
        "saved_model: tracing and verifying",
    ]


def test_the_report_prints(written):
    _, folder, report, _ = written
    assert all(name in str(report) for name in ("sequence", "stream", "saved_model", "memory", str(folder)))


def test_a_mode_the_model_cannot_be_exported_in(tmp_path):
    model = sequential(L.Bidirectional(L.GRU(2), name="both"))
    report = rk.export_bundle(model, tmp_path / "bundle", saved_model=False)
    assert list(report.reports) == ["sequence"] and "'both/backward_gru" in report.refused["stream"]
    with pytest.raises(rk.runtime.BundleError, match="has no graph for 'stream'. The model cannot be streamed"):
        rk.runtime.load(tmp_path / "bundle").stream()
    with pytest.raises(ExportError, match="cannot be streamed"):
        rk.export_bundle(model, tmp_path / "other", modes=["sequence", "stream"], saved_model=False)
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_failed_export_leaves_the_bundle_that_was_there(tmp_path, monkeypatch):
    rk.export_bundle(reader(), tmp_path / "bundle", modes=["sequence"], saved_model=False)
    before = (tmp_path / "bundle" / "manifest.json").read_bytes()
    with pytest.raises(ExportError, match="not exact"):
        rk.export_bundle(reader(), tmp_path / "bundle", tolerance=1e-14)
    monkeypatch.setattr(make, "serialized", lambda model: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        rk.export_bundle(reader(), tmp_path / "bundle")
    assert (tmp_path / "bundle" / "manifest.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    rk.runtime.load(tmp_path / "bundle")


KILLED = """
import os, signal, sys
import keras
import keras_rnnkit as rk
model = keras.Sequential([keras.Input((None, 3)), rk.GRU(4)])
stop = lambda stage: os.kill(os.getpid(), signal.SIGKILL) if stage == "stream: verifying" else None
rk.export_bundle(model, sys.argv[1], progress=stop)
"""


def test_a_process_killed_while_writing_leaves_no_half_bundle(tmp_path):
    done = python("-c", KILLED, tmp_path / "bundle", with_keras=True)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "bundle").exists()
    rk.export_bundle(reader(), tmp_path / "bundle", modes=["sequence"], saved_model=False)
    rk.runtime.load(tmp_path / "bundle")


class Words:
    """A vocabulary, as far as a bundle asks for one."""

    def save(self, path):
        path.write_text(json.dumps(["<unk>", "to", "be"]))


def test_a_vocabulary_comes_along(tmp_path):
    rk.export_bundle(reader(), tmp_path / "bundle", modes=["sequence"], saved_model=False, vocabulary=Words())
    manifest = json.loads((tmp_path / "bundle" / "manifest.json").read_text())
    assert manifest["vocabulary"] == "vocabulary.json" and "vocabulary.json" in manifest["files"]


def test_other_peoples_folders_are_not_replaced(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("I")
    with pytest.raises(ExportError, match="holds other things and no manifest"):
        rk.export_bundle(reader(), tmp_path / "thesis")
    with pytest.raises(ExportError, match="names a file"):
        rk.export_bundle(reader(), tmp_path / "thesis" / "chapter.txt")


def test_an_unknown_mode(tmp_path):
    with pytest.raises(ExportError, match="Received: modes='chunks'"):
        rk.export_bundle(reader(), tmp_path / "bundle", modes=["chunks"])
    assert os.listdir(tmp_path) == []

"""A run owns its folder: nothing of an older run is ever taken for its own, and nothing foreign is removed."""

import json

import numpy as np
import pytest

from keras_rnnkit.runs.best import read_best, save_best
from keras_rnnkit.runs.errors import RunError
from keras_rnnkit.runs.folder import RunFolder
from keras_rnnkit.runs.run import Run, check_claim, check_data, fingerprint
from keras_rnnkit.runs.settings import RunSettings
from keras_rnnkit.runs.source import source_of
from keras_rnnkit.settings import SettingsError


def trained_folder(path, pipeline="words", run="first"):
    """A folder as a run of a pipeline leaves it."""
    folder = RunFolder(path)
    data = {"description": "20 words", "fingerprint": fingerprint(["a", "b"])}
    folder.write_record({"format": 1, "pipeline": pipeline, "run": run, "begun": "2026-01-01", "data": data})
    save_best([np.ones(3)], path / "best.npz", run)
    return folder


def test_a_trained_folder_is_refused(tmp_path):
    folder = trained_folder(tmp_path)
    with pytest.raises(SettingsError, match=r"a run of words, begun 2026.*--resume.*--overwrite.*--out"):
        check_claim(folder, RunSettings(out=tmp_path), "words")
    for changes in ({"resume": True}, {"overwrite": True}, {"continue_from": tmp_path}):
        check_claim(folder, RunSettings(out=tmp_path, **changes), "words")


def test_a_folder_of_an_earlier_version_is_refused(tmp_path):
    (tmp_path / "training.ckpt").write_text("")
    with pytest.raises(SettingsError, match="files of an earlier run"):
        check_claim(RunFolder(tmp_path), RunSettings(out=tmp_path), "words")


def test_a_run_that_never_trained_is_no_obstacle(tmp_path):
    trained_folder(tmp_path)
    (tmp_path / "best.npz").unlink()
    check_claim(RunFolder(tmp_path), RunSettings(out=tmp_path), "words")


def test_resume_needs_a_run_of_the_same_pipeline(tmp_path):
    with pytest.raises(SettingsError, match="There is no run in .* to resume. Start it without --resume"):
        check_claim(RunFolder(tmp_path), RunSettings(out=tmp_path, resume=True), "words")
    folder = trained_folder(tmp_path, "translation")
    with pytest.raises(SettingsError, match="holds a run of translation, which words cannot resume"):
        check_claim(folder, RunSettings(out=tmp_path, resume=True), "words")


def test_resume_refuses_other_data(tmp_path):
    record = trained_folder(tmp_path).record
    check_data(record, {"description": "20 words", "fingerprint": fingerprint(["a", "b"])}, tmp_path)
    with pytest.raises(SettingsError, match="had 20 words, and now it is 30 words.*--continue-from"):
        check_data(record, {"description": "30 words", "fingerprint": fingerprint(["a", "c"])}, tmp_path)


def test_the_best_weights_of_another_run_are_never_loaded(tmp_path):
    """The sabotage: the file of an older run lies where this run looks for its own."""
    trained_folder(tmp_path, run="older")
    assert read_best(tmp_path / "best.npz", "older")[0].tolist() == [1, 1, 1]
    with pytest.raises(RunError, match="are of another run, older; this is newer. Nothing is reported from them"):
        read_best(tmp_path / "best.npz", "newer")
    np.savez(tmp_path / "best.npz", np.ones(3))  # as earlier versions wrote it
    with pytest.raises(RunError, match="another run, which has no name"):
        read_best(tmp_path / "best.npz", "newer")
    (tmp_path / "best.npz").write_bytes(b"half a file")
    with pytest.raises(RunError, match="are damaged"):
        read_best(tmp_path / "best.npz", "newer")
    (tmp_path / "best.npz").unlink()
    with pytest.raises(RunError, match="no epoch of this run ended with a validation loss that is a number"):
        read_best(tmp_path / "best.npz", "newer")


def test_overwriting_removes_what_a_run_wrote_and_nothing_else(tmp_path):
    folder = trained_folder(tmp_path)
    for name in ("notes.txt", "report/index.html", "report/mine.txt", "bundle/step.onnx", "bundle/saved_model/a/b.pb"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "bundle" / "manifest.json").write_text(
        json.dumps({"files": {"step.onnx": {}, "saved_model/a/b.pb": {}}})
    )
    folder.clear()
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    assert left == ["notes.txt", "report", "report/mine.txt"]


def test_nothing_changes_before_the_data_is_read(tmp_path):
    trained_folder(tmp_path)
    with pytest.raises(SettingsError, match="no data"), Run(RunSettings(out=tmp_path, overwrite=True), "words"):
        raise SettingsError("no data")
    assert read_best(tmp_path / "best.npz", "first")


def test_the_record_says_how_a_run_ended(tmp_path):
    with Run(RunSettings(out=tmp_path, seed=3), "words") as run:
        run.begin("two words", ["a", "b"])
        run.complete({})
    record = RunFolder(tmp_path).record
    assert (record["status"], record["seed"], record["data"]["description"]) == ("complete", 3, "two words")
    assert {"python", "keras", "tensorflow"} <= set(record["versions"]) and record["settings"]["out"] == str(tmp_path)
    with pytest.raises(ZeroDivisionError), Run(RunSettings(out=tmp_path), "words") as run:
        run.begin("two words", ["a", "b"])
        _ = 1 / 0
    assert RunFolder(tmp_path).record["status"] == "failed"


def test_a_damaged_record_and_a_file_are_refused(tmp_path):
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(SettingsError, match="run.json is damaged"):
        check_claim(RunFolder(tmp_path), RunSettings(out=tmp_path), "words")
    check_claim(RunFolder(tmp_path), RunSettings(out=tmp_path, overwrite=True), "words")
    with pytest.raises(SettingsError, match="--out must be a folder"):
        RunFolder(tmp_path / "run.json")


def test_continuing_from_a_run(tmp_path):
    trained_folder(tmp_path / "old")
    source = source_of(tmp_path / "old", "words")
    assert source.weights[""][0].tolist() == [1, 1, 1]
    with pytest.raises(SettingsError, match="must be the folder of a run that was trained"):
        source_of(tmp_path / "nowhere", "words")
    with pytest.raises(SettingsError, match="holds a run of words, and this is translation"):
        source_of(tmp_path / "old", "translation")

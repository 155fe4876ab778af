"""What a run may be asked for besides training: to judge another run, to find a learning rate, to show where the time
goes, and to write samples on the way."""

import contextlib
import io
import json
import re
import shutil

import numpy as np
import pytest

import keras_rnnkit as rk
from keras_rnnkit.runs.errors import RunError
from keras_rnnkit.runs.folder import RunFolder
from keras_rnnkit.runs.log import read_log
from keras_rnnkit.runs.profiling import StepProfile
from keras_rnnkit.runs.samples import continuation
from keras_rnnkit.settings import SettingsError
from tests.pipelines.interrupted import best_weights, same
from tests.pipelines.interrupted import trained as trained_weights
from tests.runs import letters
from tests.runs.letters import Settings


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(folder, metrics, what was printed) of a run that was profiled, and wrote samples after every batch."""
    out, printed = tmp_path_factory.mktemp("runs") / "letters", io.StringIO()
    with contextlib.redirect_stdout(printed):
        metrics = letters.run(Settings(out=out, units=9, profile=True, sample_every=1e-9))
    return out, metrics, printed.getvalue()


def content(folder):
    """The files of a run, with their bytes."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("inner", ["", "bundle"])
def test_a_run_is_judged_with_its_own_settings_and_stays_as_it_was(trained, inner, tmp_path):
    folder, metrics, _ = trained
    before = content(folder)
    again = letters.run(Settings(evaluate=folder / inner, out=tmp_path))
    assert (again["perplexity"], again["held_out"]) == (metrics["perplexity"], metrics["held_out"])
    assert content(folder) == before and not list(tmp_path.glob("*.ckpt")) and not list(tmp_path.glob("best*"))
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["evaluates"] == str(folder) and record["settings"]["units"] == 9
    assert f"evaluation of {folder}" in (tmp_path / "report" / "index.html").read_text()


def test_a_run_is_judged_on_other_data(trained, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("\n".join(word[::-1] for word in letters.WORDS))
    again = letters.run(Settings(evaluate=trained[0], data=other, out=tmp_path / "out"))
    assert again["perplexity"] > trained[1]["perplexity"]


def test_what_cannot_be_judged(trained, tmp_path):
    with pytest.raises(SettingsError, match="--evaluate must be the folder of a run, or the bundle in it. Received"):
        Settings(evaluate=tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(SettingsError, match="a bundle outside of the folder of its run"):
        Settings(evaluate=tmp_path)
    RunFolder(tmp_path / "untrained").write_record({"format": 1, "pipeline": "letters", "run": "a", "settings": {}})
    with pytest.raises(SettingsError, match="--evaluate must be the folder of a run that was trained"):
        letters.run(Settings(evaluate=tmp_path / "untrained", out=tmp_path / "out"))
    with pytest.raises(SettingsError, match="--evaluate does not train, so --resume cannot go with it"):
        Settings(evaluate=trained[0], resume=True)
    with pytest.raises(SettingsError, match="holds a run of letters"):
        letters.run(Settings(evaluate=trained[0], out=trained[0]))
    with pytest.raises(RunError, match="The weights in .* are of another model"):
        letters.run(Settings(evaluate=trained[0], units=10, out=tmp_path / "out"))
    with pytest.raises(RunError, match="The log .* cannot be read"):
        read_log(tmp_path / "log.csv")


def test_the_report_of_an_evaluation_goes_beside_those_of_the_run(trained):
    assert Settings(evaluate=trained[0]).out == trained[0] / "evaluation"
    assert Settings(evaluate=trained[0], out="elsewhere").out == "elsewhere"


def test_the_learning_rate_is_searched_beside_a_trained_run(trained, tmp_path):
    folder = shutil.copytree(trained[0], tmp_path / "letters")
    before = content(folder)
    assert letters.run(Settings(out=folder, find_rate=True)) is None
    after = content(folder)
    assert {path: after[path] for path in before} == before
    record = json.loads((folder / "find_rate" / "run.json").read_text())
    assert record["status"] == "complete" and record["pipeline"] == "letters"
    names = {path.name for path in (folder / "find_rate" / "report").iterdir()}
    assert names == {"index.html", "learning_rate.png"}
    with pytest.raises(SettingsError, match="--find-rate does not train, so --profile cannot go with it"):
        Settings(out=folder, find_rate=True, profile=True)
    RunFolder(folder).clear()
    assert not (folder / "find_rate").exists()


def test_the_report_says_where_the_time_of_training_went(trained):
    folder, _, printed = trained
    page = (folder / "report" / "index.html").read_text()
    for row in ("first batch, with the compilation", "a batch, in the middle", "reading a batch, by itself"):
        assert row in page
    assert "profile   all validations: " in printed
    assert list((folder / "profile").rglob("*.xplane.pb"))


def test_samples_and_a_profile_on_the_way_change_nothing(trained, tmp_path):
    without = trained_weights(letters, Settings(out=tmp_path, units=9))
    text = (trained[0] / "samples.txt").read_text()
    assert len(re.findall(r"epoch \d, batch \d+:", text)) == 4 and not (tmp_path / "samples.txt").exists()
    assert same(best_weights(trained[0]), without)


def test_a_sample_that_fails_does_not_end_the_training(tmp_path, capsys, monkeypatch):
    def fail(*arguments, **options):
        raise ValueError("no sample")

    monkeypatch.setattr("keras_rnnkit.runs.samples.continuation", fail)
    trained_weights(letters, Settings(out=tmp_path, sample_every=1e-9, epochs=1))
    assert capsys.readouterr().out.count("No more samples: writing one failed (ValueError('no sample')).") == 1


@pytest.mark.parametrize("stateful", [False, True])
def test_a_continuation_is_what_the_model_finds_likeliest(stateful):
    """A model that has learned nothing but to count: every letter is followed by the next one."""
    import keras

    vocabulary = rk.text.Vocabulary(list("abcde"))
    tokens = keras.Input((None,), batch_size=3 if stateful else None, dtype="int32")
    memory = rk.GRU(2, return_sequences=True, stateful=stateful)
    table = keras.layers.Embedding(5, 5)
    x = table(tokens)
    model = keras.Model(tokens, keras.layers.Concatenate()([x[..., :0], memory(x)[..., :0], 60 * x]))
    table.embeddings.assign(np.roll(np.eye(5), 1, axis=1))
    before = rk.training.carried_states(model) if stateful else []
    assert continuation(model, vocabulary, np.array([[0, 1], [2, 3]]), 4) == ["cdea", "eabc"]
    assert continuation(model, vocabulary, np.array([[0, 1]]), 9, end=4) == ["cde"]
    after = rk.training.carried_states(model) if stateful else []
    assert all(np.array_equal(*pair) for pair in zip(before, after, strict=True))


def test_a_training_of_one_batch_has_no_time_of_the_others():
    profile = StepProfile("unused")
    profile.batches = [2.0]
    assert profile.rows(0.0)["first batch, with the compilation"] == "2.00 s"
    assert not any(name.startswith("a batch") for name in profile.rows(0.0))

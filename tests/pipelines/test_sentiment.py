"""The pipeline that classifies texts, small."""

import json

import numpy as np
import pytest

import keras_rnnkit as rk
from keras_rnnkit.runs.labelled_texts import imbalance
from keras_rnnkit.runs.text_report import always_the_same
from keras_rnnkit.settings import SettingsError
from keras_rnnkit.text import TextError
from pipelines import sentiment
from pipelines.sentiment import Settings
from tests.eager import eagerly
from tests.pipelines.interrupted import same, trained

SMALL = {"units": 6, "embedding": 6, "epochs": 1, "valid_count": 12, "test_count": 20}


@pytest.fixture(scope="module")
def stars(tmp_path_factory):
    """A file with three labels of different frequency."""
    rng = np.random.default_rng(0)
    words = {"one": "awful bad poor", "three": "fair usual", "five": "great good fine lovely"}
    lines = ["text,label"]
    for i in range(160):
        label = "three" if i % 16 == 0 else ("one", "five")[i % 2]
        lines.append(
            f'"The {rng.choice(words[label].split())} place number {i}, {rng.choice(words[label].split())}!",{label}'
        )
    path = tmp_path_factory.mktemp("stars") / "stars.csv"
    path.write_text("\n".join(lines))
    return path


@eagerly()
def test_texts_of_a_file_with_vectors_and_weights(stars, tmp_path):
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("".join(f"{word} {i}.5 1 0 0 -1\n" for i, word in enumerate(["great", "awful", "unseen"])))
    settings = Settings(
        data=stars, text="text", label="label", vectors=vectors, freeze=True, balance=True, layers=2, cell="gru",
        out=tmp_path / "out", **SMALL,
    )  # fmt: skip
    metrics = sentiment.run(settings)
    assert set(metrics["labels"]) == {"five", "one", "three"}
    assert sum(sum(row.values()) for row in metrics["taken for"].values()) == metrics["texts judged"] >= 20
    bundle = rk.runtime.load(tmp_path / "out" / "bundle")
    texts = [bundle.vocabulary.encode(text) for text in ("the great place number", "awful !")]
    found = np.asarray(bundle.predict(texts))
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)
    padded = np.zeros((2, 4), np.int32)
    for row, text in zip(padded, texts, strict=True):
        row[: len(text)] = text
    np.testing.assert_allclose(bundle.predict(padded), found, rtol=1e-4)  # padding changes nothing
    again = sentiment.run(Settings(evaluate=tmp_path / "out"))
    assert (again["models"], again["taken for"]) == (metrics["models"], metrics["taken for"])
    names = {path.name for path in (tmp_path / "out" / "report").iterdir()}
    assert names == {"index.html", "metrics.json", "words.png", "confusion.png", "calibration.png", "curves.png"}
    assert rk.text.Vocabulary.load(tmp_path / "out" / "vocabulary_labels.json").tokens == ["five", "one", "three"]
    weights = np.load(tmp_path / "out" / "best.npz")
    assert any(array.shape[-1:] == (5,) and (array == [0.5, 1, 0, 0, -1]).all(-1).any() for array in weights.values())


@pytest.mark.study  # test_faults.py has one such run in the quick tests
def test_it_goes_on_where_it_stopped(stars, tmp_path):
    known = {"data": stars, "text": "text", "label": "label", "compare": False, "bidirectional": False, **SMALL}
    whole = trained(sentiment, Settings(**{**known, "epochs": 2}, out=tmp_path / "whole"))
    first = trained(sentiment, Settings(**known, out=tmp_path / "parts"))
    again = trained(sentiment, Settings(**{**known, "epochs": 2}, out=tmp_path / "parts", resume=True))
    assert same(again, whole) and not same(again, first)


def test_wrong_data_leave_an_earlier_run_as_it_is(stars, tmp_path):
    (tmp_path / "run.json").write_text('{"format": 1, "pipeline": "sentiment", "begun": "today"}')
    known = {"data": stars, "text": "text", "label": "label", "out": tmp_path, "overwrite": True, **SMALL}
    with pytest.raises(TextError, match="has no column 'review'"):
        sentiment.run(Settings(**{**known, "text": "review"}))
    for vectors, sentence in (("none.txt", "There is no file"), ("other.txt", "has no vector of a word")):
        (tmp_path / "other.txt").write_text("elsewhere 1 2\n")
        with pytest.raises(TextError, match=sentence):
            sentiment.run(Settings(**known, vectors=tmp_path / vectors))
    with pytest.raises(SettingsError, match="has 160 examples, and 100 are to be held out"):
        sentiment.run(Settings(**{**known, "test_count": 88}))
    assert json.loads((tmp_path / "run.json").read_text())["begun"] == "today"


def test_labels_that_are_much_rarer_are_told():
    names = rk.text.Vocabulary(["no", "yes"], rk.text.Words())
    assert "'yes' is 9 times as frequent as 'no'" in imbalance(np.array([0] + [1] * 9), names)
    assert imbalance(np.array([0, 0, 1, 1]), names) is None


def test_a_model_that_always_answers_the_same_is_told():
    assert "answers 'b' to all 3 test texts" in always_the_same(np.array([1, 1, 1]), ["a", "b"])
    assert always_the_same(np.array([0, 1, 1]), ["a", "b"]) is None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"data": "x.csv"}, "--data needs --text and --label"),
        ({"label": "y"}, "--text and --label name columns of a file"),
        ({"freeze": True}, "--freeze keeps the vectors of --vectors"),
        ({"rows": 0}, "rows must be 1 or more"),
        ({"cell": "elman"}, "Received: cell='elman'"),
    ],
)
def test_settings_that_make_no_sense(changes, sentence):
    with pytest.raises(SettingsError, match=sentence):
        Settings(**changes)

"""The pipelines of sequences to sequences, small."""

import json
from unittest.mock import Mock

import numpy as np
import pytest

import keras_rnnkit as rk
from keras_rnnkit.runs.evaluation import export, respelled, scores
from keras_rnnkit.runs.image_encoder import network_of
from keras_rnnkit.settings import SettingsError
from keras_rnnkit.text import TextError
from pipelines import captioning, translation
from pipelines.captioning import Settings as Captioning
from pipelines.translation import Settings
from tests.eager import eagerly
from tests.pipelines.interrupted import same, trained

SMALL = {"units": 12, "embedding": 8, "saved_model": False, "beam": 3}


def test_days_are_translated_judged_and_reported(smoke_run):
    folder, settings, metrics = smoke_run("translation")
    assert metrics["same_in_keras"] == {"greedy": settings.test_count, "beam 2": settings.test_count}
    for name in ("greedy", "beam 2"):
        assert 0 <= metrics[name]["exact"] <= 1 and 0 <= metrics[name]["chrf"] <= 100
    assert sum(row["count"] for row in metrics["by_length"]) == settings.test_count
    assert set(metrics["by_length"][0]) == {"from", "to", "count", "general"}
    names = {path.name for path in (folder / "report").iterdir()}
    assert names == {"index.html", "metrics.json", "curves.png", "lengths.png", "attention.png"}
    known = json.loads((folder / "report" / "metrics.json").read_text())
    assert known["settings"]["units"] == settings.units and known["examples"][0]["source"]


def test_its_bundle_translates_text(smoke_run):
    folder, _, metrics = smoke_run("translation")
    bundle = rk.runtime.load(folder / "bundle")
    example = metrics["examples"][0]
    found = bundle.translate(example["source"], metrics["steps"])
    assert found.text == example["found"] and found.score == pytest.approx(example["score"], abs=1e-3)


@pytest.fixture
def flags(tmp_path):
    """Settings for pairs of a file: words, sampling, averages and smoothing by their flags."""
    pairs = rk.data.date_pairs(60, seed=3, languages=["de"])
    (tmp_path / "pairs.tsv").write_text("\n".join("\t".join(pair) for pair in pairs))
    flags = {"unit": "word", "attention": "dot", "sampling": 0.2, "average": 0.9, "smoothing": 0.1, "cell": "lstm"}
    flags |= {"valid_count": 8, "test_count": 8, "limit": 12, "reverse": True, "schedule": "constant"}
    return {"data": tmp_path / "pairs.tsv", **flags, **SMALL}


@eagerly()
def test_pairs_of_a_file_beside_a_model_without_attention(flags, tmp_path):
    metrics = translation.run(Settings(**flags, feeding=True, compare=True, epochs=1, out=tmp_path / "whole"))
    assert metrics["same_in_keras"]["beam 3"] == metrics["test"] and 0 <= metrics["fixed"]["chrf"] <= 100
    assert set(metrics["by_length"][0]) == {"from", "to", "count", "dot", "fixed vector"}
    assert (tmp_path / "whole" / "best_fixed.npz").exists()


@pytest.mark.study
def test_it_goes_on_where_it_stopped(flags, tmp_path):
    """Two epochs are one, an interruption and another."""
    whole = trained(translation, Settings(**flags, epochs=2, out=tmp_path / "whole"))
    first = trained(translation, Settings(**flags, epochs=1, out=tmp_path / "parts"))
    again = trained(translation, Settings(**flags, epochs=2, out=tmp_path / "parts", resume=True))
    assert same(again, whole) and not same(again, first)


def test_scenes_are_captioned(smoke_run):
    folder, settings, metrics = smoke_run("captioning")
    assert metrics["same_in_keras"] == {"greedy": settings.test_count, "beam 3": settings.test_count}
    ways = ("attention, greedy", "attention, beam 3")
    assert all(set(metrics[way]) == {"exact", "exact, seen", "exact, unseen", "bleu", "chrf"} for way in ways)
    names = {path.name for path in (folder / "report").iterdir()}
    assert names == {"index.html", "metrics.json", "curves.png", "captions.png", "attention.png"}


@eagerly()
def test_images_of_a_folder_are_captioned_in_three_ways(tmp_path):
    """Several captions an image, and a network of keras.applications without weights."""
    from PIL import Image

    found = rk.data.scenes(12, seed=5, size=40, max_things=1)
    lines = []
    for i, (image, caption) in enumerate(zip(found.images, found.captions, strict=True)):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
        lines += [f"{i}.png\t{caption}", f"{i}.png\tThere is {caption}"]
    (tmp_path / "captions.tsv").write_text("\n".join(lines))
    known = {"images": tmp_path, "captions": tmp_path / "captions.tsv", "valid_count": 2, "test_count": 3, "epochs": 1}
    known |= {"size": 32, "rows": 8}
    metrics = captioning.run(Captioning(**known, way="condition", compare=True, out=tmp_path / "out", **SMALL))
    assert metrics["test"] == 3
    for name in ("condition, greedy", "condition, beam 3", "attention, greedy", "initial, greedy"):
        assert "exact, unseen" not in metrics[name] and np.isfinite(metrics[name]["bleu"])
    page = (tmp_path / "out" / "report" / "index.html").read_text(encoding="utf-8")
    assert all(f"3 of 3 captions by {way} are " in page for way in ("attention", "initial"))  # those to compare with
    with pytest.raises(SettingsError, match="has 12 examples, and 20 are to be held out"):
        captioning.run(Captioning(**known | {"valid_count": 10, "test_count": 10}, out=tmp_path / "new", **SMALL))
    with pytest.raises(SettingsError, match="of mobilenet_v2 cannot be loaded: .*Give a file"):
        network_of("mobilenet_v2", 32, str(tmp_path / "none.weights.h5"))


@pytest.mark.parametrize("asked", [True, False])
def test_a_saved_model_is_written_where_it_is_asked_for(asked, monkeypatch, tmp_path):
    arguments = {}
    monkeypatch.setattr(rk, "export_bundle", lambda *_, **options: arguments.update(options) or Mock(error=0.0))
    monkeypatch.setattr("keras_rnnkit.runtime.load", Mock())
    export(None, (None, None), Settings(saved_model=asked, out=tmp_path), Mock())
    assert arguments["saved_model"] is asked


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Settings(units=0), "units must be 1 or more. Received: units=0"),
        (lambda: Settings(units=7, attention="dot"), "units must be even: two directions share them"),
        (lambda: Settings(cell="rnn"), "cell='rnn'. Expected one of lstm"),
        (lambda: Settings(dropout=1.5), "dropout must be a fraction"),
        (lambda: Captioning(images="x"), "need both --images FOLDER and --captions FILE"),
        (lambda: Captioning(network="vgg"), "network='vgg'. Expected small, mobilenet_v2"),
        (lambda: Captioning(weights="imagenet"), "Name one of keras.applications"),
        (lambda: Captioning(size=8), "must be 32 pixels or more"),
    ],
)
def test_settings_that_cannot_be(make, sentence):
    with pytest.raises(SettingsError, match=sentence):
        make()


def test_pairs_that_are_too_few_or_too_long(tmp_path):
    (tmp_path / "pairs.tsv").write_text("".join(f"a b{i}\tc d\n" for i in range(40)))
    with pytest.raises(SettingsError, match="has 40 examples, and 30 are to be held out"):
        translation.run(Settings(data=tmp_path / "pairs.tsv", out=tmp_path / "out", valid_count=10, test_count=20))
    with pytest.raises(SettingsError, match="All pairs are longer than 1 tokens"):
        translation.run(
            Settings(
                data=tmp_path / "pairs.tsv", out=tmp_path / "out", unit="word", limit=1, valid_count=2, test_count=2
            )
        )
    with pytest.raises(TextError, match="There is no file"):
        translation.run(Settings(data=tmp_path / "none.tsv", out=tmp_path / "out"))


def test_a_word_that_is_not_known_counts_against_the_model():
    words = rk.text.Vocabulary.of(["a red box"], rk.text.Words(punctuation=True), ["<pad>", "<unk>", "<bos>", "<eos>"])
    wanted = respelled("a mauve box,small", words)
    assert wanted == "a mauve box , small"
    found = words.decode(words.encode(wanted))
    assert found == "a <unk> box <unk> <unk>"
    assert scores([found, wanted], [[wanted], ["another", wanted]])["exact"] == 0.5
    assert scores([found], [[wanted]])["bleu"] < scores([wanted], [[wanted]])["bleu"] == pytest.approx(100)


def test_scores_of_parts():
    parts = {"exact, seen": np.array([True, True, False]), "exact, unseen": np.array([False, False, True])}
    found = scores(["a b", "c", "d"], [["a b"], ["d"], ["d"]], parts)
    assert (found["exact"], found["exact, seen"], found["exact, unseen"]) == (pytest.approx(2 / 3), 0.5, 1.0)

"""The pipeline that invents words, small."""

import pytest

import keras_rnnkit as rk
from keras_rnnkit.data.embedded import english_words
from keras_rnnkit.settings import SettingsError
from pipelines import words
from pipelines.words import Settings
from tests.pipelines.interrupted import same, trained


def test_words_are_invented_letter_by_letter(smoke_run):
    folder, settings, metrics = smoke_run("words")
    bundle = rk.runtime.load(folder / "bundle")
    vocabulary = rk.text.Vocabulary.load(bundle.folder / "vocabulary.json")
    assert len(metrics["words"]) == settings.count and 1 < metrics["perplexity"] < len(vocabulary)
    assert all(set(word) <= set(vocabulary.tokens) for word in metrics["words"])
    assert words.invent(bundle, vocabulary, settings) == metrics["words"]
    names = {path.name for path in (folder / "report").iterdir()}
    assert names == {"index.html", "metrics.json", "curves.png", "rank_frequency.png", "units.png"}


@pytest.mark.study  # test_faults.py has one such run in the quick tests
def test_it_goes_on_where_it_stopped(tmp_path):
    """Two epochs are one, an interruption and another; other cells and schedules by their flags."""
    (tmp_path / "list.txt").write_text("\n".join(english_words()[::40]))
    known = {"data": tmp_path / "list.txt", "units": 8, "layers": 2, "cell": "coupled_lstm", "zoneout": 0.1}
    known |= {"schedule": "plateau", "optimizer": "rmsprop"}
    whole = trained(words, Settings(**known, epochs=2, out=tmp_path / "whole"))
    first = trained(words, Settings(**known, epochs=1, out=tmp_path / "parts"))
    again = trained(words, Settings(**known, epochs=2, out=tmp_path / "parts", resume=True))
    assert same(again, whole) and not same(again, first)


def test_padding_is_no_target():
    vocabulary = rk.text.Vocabulary.of(["ab", "b"], reserved=["<pad>", "<bos>", "<eos>"])
    x, y = words.padded(["ab", "b"], vocabulary)
    b, a = vocabulary.number("b"), vocabulary.number("a")
    assert x.tolist() == [[1, a, b], [1, b, 0]] and y.tolist() == [[a, b, 2], [b, 2, 0]]


def test_too_few_words_and_a_part_out_of_range(tmp_path):
    (tmp_path / "list.txt").write_text("to\nbe")
    with pytest.raises(rk.text.TextError, match="has 2 different words. Give a list of 20"):
        words.run(Settings(data=tmp_path / "list.txt", out=tmp_path))
    with pytest.raises(SettingsError, match="between 0 and 1. Received: 1.5"):
        Settings(held_out=1.5)

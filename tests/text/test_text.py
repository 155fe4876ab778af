"""Text to numbers and back."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_rnnkit.text import Characters, Subwords, TextError, Vocabulary, Words

TEXT = "To be, or not to be:\nthat is the question.\n"
RESERVED = ["<pad>", "<unk>", "<bos>", "<eos>"]


@pytest.fixture(scope="module")
def subwords():
    return Subwords.learned([TEXT * 10], size=280)


@given(st.text(min_size=1))
def test_characters_come_back(text):
    assert Vocabulary.of(text).decode(Vocabulary.of(text).encode(text)) == text


@given(st.text())
def test_subwords_write_any_text(text):
    unit = Subwords.learned([TEXT], size=260)
    assert unit.join(unit.split(text)) == text


def test_words_come_back_joined_by_spaces():
    vocabulary = Vocabulary.of("to be or\nnot to be", Words())
    assert vocabulary.decode(vocabulary.encode("or not\nto be")) == "or not\nto be"
    assert vocabulary.tokens[:2] == ["be", "to"]  # most frequent first, then by the alphabet


def test_most_frequent_first_and_rare_ones_left_out():
    vocabulary = Vocabulary.of("ccc bb a", Words(), reserved=RESERVED, min_count=1)
    assert vocabulary.tokens == [*RESERVED, "a", "bb", "ccc"]
    counted = Vocabulary.of(["x x x y y z"], Words(), reserved=["<unk>"], min_count=2)
    assert counted.tokens == ["<unk>", "x", "y"] and counted.encode("z x").tolist() == [0, 1]
    assert Vocabulary.of("x x x y y z", Words(), reserved=["<unk>"], max_tokens=2).tokens == ["<unk>", "x"]


def test_a_reserved_token_in_the_text_is_not_counted_twice():
    vocabulary = Vocabulary.of("a <unk> b\n", Words(), reserved=RESERVED)
    assert vocabulary.tokens == [*RESERVED, "a", "b"] and vocabulary.number("<eos>") == 3


@pytest.mark.parametrize("name", ["char", "word", "word, punctuation", "subword"])
def test_a_file_is_all_it_takes(name, tmp_path, subwords):
    units = {"char": Characters(), "word": Words(), "word, punctuation": Words(punctuation=True), "subword": subwords}
    vocabulary = Vocabulary.of(TEXT, units[name], reserved=RESERVED)
    vocabulary.save(tmp_path / "vocabulary.json")
    again = Vocabulary.load(tmp_path / "vocabulary.json")
    assert again == vocabulary
    np.testing.assert_array_equal(again.encode(TEXT), vocabulary.encode(TEXT))
    assert [path.name for path in tmp_path.iterdir()] == ["vocabulary.json"]


def test_unknown_tokens_are_named():
    with pytest.raises(TextError, match="has 2 token.* does not know: 'c', 'd'.*reserved="):
        Vocabulary.of("ab").encode("abcd")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 1}'])
def test_something_else_is_no_vocabulary(content, tmp_path):
    (tmp_path / "v.json").write_text(content)
    with pytest.raises(TextError, match="is not a vocabulary"):
        Vocabulary.load(tmp_path / "v.json")


@pytest.mark.parametrize("change", [{"tokens": 5}, {"tokens": [1]}, {"tokens": {"a": 0}}, {"pieces": ""}])
def test_a_vocabulary_that_somebody_has_changed(change):
    content = json.dumps({"format": 1, "unit": "char", "tokens": ["a"], **change}).encode()
    with pytest.raises(TextError, match="'v.json' is not a vocabulary that Vocabulary.save wrote"):
        Vocabulary.parsed(content, "v.json")


def test_a_missing_vocabulary(tmp_path):
    with pytest.raises(TextError, match="There is no file .*nowhere.json'"):
        Vocabulary.load(tmp_path / "nowhere.json")


@pytest.mark.parametrize("number", [-1, 2])
def test_a_number_of_no_token(number):
    with pytest.raises(TextError, match=f"must be 0 to 1. Received: {number}"):
        Vocabulary.of("ab").decode([0, number])


def test_a_vocabulary_of_another_form(tmp_path):
    (tmp_path / "v.json").write_text(json.dumps({"format": 7, "unit": "char", "tokens": []}))
    with pytest.raises(TextError, match="of form 7"):
        Vocabulary.load(tmp_path / "v.json")


def test_an_empty_text_and_a_token_twice():
    with pytest.raises(TextError, match="The text is empty"):
        Vocabulary.of("")
    with pytest.raises(TextError, match="Received: 'a' twice"):
        Vocabulary(["a", "b", "a"])


def test_it_needs_no_framework():
    code = "import sys, keras_rnnkit.text; print({'keras', 'tensorflow', 'tokenizers'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"

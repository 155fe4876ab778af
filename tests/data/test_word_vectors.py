"""Files of word vectors."""

import numpy as np
import pytest

from keras_rnnkit.data import matrix_of, read_vectors, word_vectors
from keras_rnnkit.text import TextError


def written(folder, text):
    (folder / "v.txt").write_text(text, encoding="utf-8")
    return folder / "v.txt"


@pytest.mark.parametrize("head", ["", "3 2\n"])
def test_word2vec_and_glove(tmp_path, head):
    found = read_vectors(written(tmp_path, head + "the 1 2\n. . . 3 4\né -0.5 5e-1 \n"), ["é", ". . .", "other"])
    assert {word: vector.tolist() for word, vector in found.items()} == {"é": [-0.5, 0.5], ". . .": [3, 4]}


def test_blocks_do_not_change_what_is_read(tmp_path, monkeypatch):
    text = "".join(f"w{i} {i} {i + 1}\n" for i in range(50))
    whole = read_vectors(written(tmp_path, text), ["w0", "w49"])
    monkeypatch.setattr(word_vectors, "BLOCK", 20)
    again = read_vectors(tmp_path / "v.txt", ["w0", "w49"])
    assert {w: v.tolist() for w, v in again.items()} == {w: v.tolist() for w, v in whole.items()} and len(again) == 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a 1 2\nb 1\n", "Line 2 of .* must have a word and 2 numbers. Received: 'b 1'"),
        ("a 1 2\nb 1 x\n", "Line 2 of .* must have a word and 2 numbers. Received: 'b 1 x'"),
        ("2 3\na 1 2 3\nb 1 2 nan\n", "Line 3 of .* must have a word and 3 numbers"),
        ("a\n", "Line 1 of .* has no vector: 'a'"),
        ("", "is empty"),
    ],
)
@pytest.mark.parametrize("block", [1 << 24, 4])
def test_malformed_lines_have_their_number(tmp_path, monkeypatch, text, sentence, block):
    monkeypatch.setattr(word_vectors, "BLOCK", block)
    with pytest.raises(TextError, match=sentence):
        read_vectors(written(tmp_path, text), ["a", "b"])


def test_words_without_a_vector_get_random_ones_of_the_same_size():
    vectors = {f"w{i}": np.random.default_rng(i).normal(0, 3, 8).astype("float32") for i in range(50)}
    matrix = matrix_of([*vectors, *(f"new{i}" for i in range(50))], vectors)
    np.testing.assert_array_equal(matrix[:50], np.stack(list(vectors.values())))
    assert matrix[50:].std() == pytest.approx(matrix[:50].std(), rel=0.15)

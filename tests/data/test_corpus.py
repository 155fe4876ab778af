"""Corpora, statistics and n-gram models."""

import math

import keras
import numpy as np
import pytest

from keras_rnnkit.data import Markov, TextError, ngram_counts, plot_rank_frequency, read_corpus


def test_a_file_is_cut_in_order(tmp_path):
    (tmp_path / "text.txt").write_text("0123456789" * 10)
    corpus = read_corpus(tmp_path / "text.txt", valid_fraction=0.05, test_fraction=0.1)
    assert "".join(corpus) == "0123456789" * 10 and [len(part) for part in corpus] == [85, 5, 10]
    with pytest.raises(AttributeError):
        corpus.train = ""
    without = read_corpus(tmp_path / "text.txt")
    assert without.test == without.valid and len(without.train) == 95


@pytest.mark.parametrize(
    "names",
    [
        ("train.txt", "valid.txt", "test.txt"),
        ("ptb.train.txt", "ptb.valid.txt", "ptb.test.txt"),
        ("wiki.train.tokens", "dev.txt", None),
    ],
)
def test_a_folder_is_known_by_names(names, tmp_path):
    for name in names:
        if name:
            (tmp_path / name).write_text(f"this is {name}")
    corpus = read_corpus(tmp_path)
    assert corpus.train == f"this is {names[0]}" and corpus.valid == f"this is {names[1]}"
    assert corpus.test == f"this is {names[2] or names[1]}"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"", "is empty"), (b" \n", "is empty"), (b"caf\xe9", "is not UTF-8: byte 3 is 0xe9"), (None, "There is no file")],
)
def test_files_that_are_no_text(content, sentence, tmp_path):
    if content is not None:
        (tmp_path / "text.txt").write_bytes(content)
    with pytest.raises(TextError, match=sentence):
        read_corpus(tmp_path / "text.txt")


def test_a_folder_without_parts(tmp_path):
    (tmp_path / "letters.txt").write_text("a")
    with pytest.raises(TextError, match="must have files for training and validation.*It has: letters.txt"):
        read_corpus(tmp_path)


def test_counts_of_what_stands_in_a_row():
    assert ngram_counts("abab", 3) == {("a", "b", "a"): 1, ("b", "a", "b"): 1}
    assert sum(ngram_counts("abcabc", 2).values()) == 5


def test_the_picture_is_written(tmp_path):
    rng = np.random.default_rng(0)
    path = plot_rank_frequency(rng.zipf(1.3, 2000).clip(max=500).tolist(), tmp_path / "zipf.png")
    assert path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 10_000


def test_the_picture_has_a_line_for_each_length_of_n_gram(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    axes = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: axes.extend(figure.axes))
    plot_rank_frequency("banana", tmp_path / "picture.png")
    lines = axes[0].lines
    assert [line.get_label() for line in lines] == ["3 unigrams", "3 bigrams", "3 trigrams"]
    assert [list(line.get_ydata()) for line in lines] == [[3, 2, 1], [2, 2, 1], [2, 1, 1]]
    assert [list(line.get_xdata()) for line in lines] == [[1, 2, 3]] * 3
    assert (axes[0].get_xscale(), axes[0].get_yscale()) == ("log", "log")


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_probabilities_sum_to_one(order):
    rng = np.random.default_rng(order)
    ids = rng.integers(0, 6, size=300).tolist()
    model = Markov(ids, order, size=7)  # one token is never seen
    for before in ([], [3], [1, 2], [6, 6, 6], ids[:10]):
        assert math.isclose(sum(model.probability(token, before) for token in range(7)), 1, rel_tol=1e-9)


def test_longer_contexts_help_where_there_is_something_to_know():
    ids = [0, 1, 2, 0, 2, 1] * 60
    perplexities = [Markov(ids[:300], order, size=3).perplexity(ids[300:]) for order in (1, 2, 4)]
    assert perplexities[0] > 2.9 and perplexities == sorted(perplexities, reverse=True) and perplexities[2] < 1.3


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_the_cross_entropy_is_the_mean_over_all_tokens_each_after_those_before_it(order):
    ids = np.random.default_rng(order).integers(0, 3, size=60).tolist()
    model = Markov(ids[:40], order, size=3)
    surprises = [-math.log(model.probability(token, ids[40 : 40 + i])) for i, token in enumerate(ids[40:])]
    assert model.cross_entropy(ids[40:]) == pytest.approx(sum(surprises) / 20)


def test_probabilities_are_those_of_the_equation():
    """p(w | h) = (count(h w) + T(h) p(w | h')) / (count(h) + T(h)), after 1, 0 at the end of 0 1 0 2 1 0 0."""
    model = Markov([0, 1, 0, 2, 1, 0, 0], order=3, size=3)
    unigram = (4 + 1) / (7 + 3)
    bigram = (1 + 3 * unigram) / (3 + 3)  # 0 is followed by 1, 2 and 0
    trigram = (1 + 2 * bigram) / (2 + 2)  # 1 0 is followed by 2 and 0
    assert model.probability(0, [2, 1, 0]) == pytest.approx(trigram)


def test_add_k_smoothing_of_unigrams():
    model = Markov([0, 0, 1], order=1, size=3, add=0.5)
    assert [round(model.probability(token, []) * 4.5, 9) for token in range(3)] == [2.5, 1.5, 0.5]
    with pytest.raises(ValueError, match="Received: order=0, size=3, add=1.0, 1 ids"):
        Markov([1], 0, 3)


def test_without_smoothing_what_was_never_seen_is_infinitely_surprising():
    model = Markov([0, 1, 0, 1], order=2, size=3, add=0)
    assert model.probability(2, [0]) == 0 and model.cross_entropy([0, 1, 2]) == math.inf
    assert model.perplexity([0, 1, 2]) == math.inf and model.perplexity([0, 1]) < 2


@pytest.mark.parametrize(
    ("ids", "arguments", "sentence"),
    [
        ([0, 3], {"order": 1, "size": 3}, "ids must be from 0 to 2. Received: from 0 to 3"),
        ([0, -1], {"order": 1, "size": 3}, "Received: from -1 to 0"),
        ([0], {"order": 1, "size": 3, "add": -0.5}, "add 0 or more.*Received: order=1, size=3, add=-0.5, 1 ids"),
        ([0], {"order": 1, "size": 3, "add": -1}, "add 0 or more.*Received: order=1, size=3, add=-1, 1 ids"),
        ([], {"order": 1, "size": 3}, "0 ids"),
    ],
)
def test_an_n_gram_model_of_nothing(ids, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        Markov(ids, **arguments)
    with pytest.raises(ValueError, match="an empty text is not defined"):
        Markov([0, 1], 1, 2).perplexity([])


@pytest.mark.parametrize("fractions", [(0.6, 0.4), (1.0, 0.0), (-0.1, 0.0)])
def test_fractions_that_leave_nothing(fractions, tmp_path):
    (tmp_path / "text.txt").write_text("abc")
    with pytest.raises(TextError, match=f"together below 1. Received: {fractions[0]} and {fractions[1]}"):
        read_corpus(tmp_path / "text.txt", *fractions)


def test_a_text_cut_into_rows_loses_nothing(tmp_path):
    text = "".join(map(chr, range(40, 143)))
    (tmp_path / "text.txt").write_text(text)
    corpus = read_corpus(tmp_path / "text.txt", valid_fraction=0.2, rows=10)
    assert sorted(corpus.train + corpus.valid) == sorted(text)


def test_a_one_hot_product_picks_a_row():
    rng = np.random.default_rng(0)
    tokens, table = rng.integers(0, 9, size=(2, 5)), rng.normal(size=(9, 4)).astype("float32")
    embedding = keras.layers.Embedding(9, 4, weights=[table])
    product = keras.ops.one_hot(tokens, 9) @ table
    np.testing.assert_array_equal(np.asarray(product), table[tokens])
    np.testing.assert_array_equal(np.asarray(embedding(tokens)), table[tokens])

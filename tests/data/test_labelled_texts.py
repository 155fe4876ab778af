"""Texts with labels, batches of similar length, generated reviews."""

from collections import Counter

import numpy as np
import pytest

from keras_rnnkit.data import LabelledTexts, balanced_weights, read_labelled, reviews
from keras_rnnkit.text import TextError


def batches_of(count=50, **arguments):
    rng = np.random.default_rng(0)
    texts = [np.full(rng.integers(1, 30), i + 1) for i in range(count)]
    return LabelledTexts(texts, np.arange(count) % 3, **{"rows": 8, "width": 4} | arguments)


def test_an_epoch_has_every_text_once_with_its_label_and_another_order():
    batches = batches_of()
    orders = []
    for batches.epoch in (0, 1):
        found = []
        for number in range(len(batches)):
            x, y, w = batches.batch(number)
            ids = x[:, 0]
            np.testing.assert_array_equal(y, (ids - 1) % 3)
            assert (w == 1).all() and x.shape[1] % 4 == 0
            for row, place in zip(x, batches.places(number), strict=True):
                np.testing.assert_array_equal(row[row > 0], batches.texts[place])
            found += ids.tolist()
        assert sorted(found) == list(range(1, 51))
        orders.append(found)
    assert orders[0] != orders[1]


def test_texts_of_a_batch_have_similar_lengths():
    batches = batches_of(400)
    padding = [float((batches.batch(n)[0] == 0).mean()) for n in range(len(batches))]
    assert np.mean(padding) < 0.15


def test_a_batch_has_no_more_tokens_than_allowed():
    batches = batches_of(tokens=40, rows=100)
    assert max(batches.batch(n)[0].size for n in range(len(batches))) <= 40


def test_rare_labels_weigh_more():
    batches = LabelledTexts([[1]] * 4, [0, 0, 0, 1], weights=balanced_weights([0, 0, 0, 1], 2))
    _, y, w = batches.batch(0)
    assert w[y == 0].sum() == pytest.approx(w[y == 1].sum()) and w.sum() == pytest.approx(4)


def test_a_dataset_continues_in_the_middle_of_an_epoch():
    batches = batches_of()
    whole, rest = list(batches.dataset()), list(batches.dataset(2))
    assert len(rest) == len(whole) - 2
    np.testing.assert_array_equal(rest[0][0], whole[2][0])


def test_empty_texts_are_refused():
    with pytest.raises(TextError, match="Received: 2 texts, 1 of them empty, 2 labels"):
        LabelledTexts([[1], []], [0, 1])


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (["good,yes", ",no"], "Line 3 of .*, column 'text', is empty"),
        (["good,yes", "bad, "], "Line 3 of .*, column 'label', is empty"),
        (["good,yes"] * 5, "All 5 lines of .* have the label 'yes'"),
        (["good,yes"] * 5 + ["bad,no"], "The label 'no' stands in 1 lines"),
        ([f"good,{i}" for i in range(30)], "has 30 different labels in 30 lines"),
        (["good,yes", '"bad,no'], "Line 3 of .* cannot be read"),
    ],
)
def test_what_cannot_be_used_is_a_sentence(tmp_path, rows, sentence):
    (tmp_path / "x.csv").write_text("\n".join(["text,label", *rows]))
    with pytest.raises(TextError, match=sentence):
        read_labelled(tmp_path / "x.csv", "text", "label")


def test_no_bag_of_words_tells_the_reviews_apart():
    """Reviews with the same words have both labels, wherever there are enough of them to see it."""
    found = reviews(6000, seed=1, plain=0.0)
    assert len(dict(found)) == 6000
    share = Counter(label for _, label in found)["positive"] / 6000
    assert 0.47 < share < 0.53
    counts, positive = Counter(), Counter()
    for text, label in found:
        counts.update(set(text.split()))
        positive.update(set(text.split()) if label == "positive" else ())
    for word, count in counts.items():
        assert count < 200 or 0.4 < positive[word] / count < 0.6, word


def test_plain_reviews_say_it_in_a_word():
    from keras_rnnkit.data.reviews import BAD, GOOD

    for text, label in reviews(200, plain=1.0):
        words = set(text.split())
        assert bool(words & set(GOOD)) == (label == "positive") and bool(words & set(BAD)) == (label == "negative")

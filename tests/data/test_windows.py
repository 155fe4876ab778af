"""Windows: every token once, each row going on, nothing copied."""

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_rnnkit.data import TextError, Windows
from keras_rnnkit.data.corpus import encode_file
from keras_rnnkit.text import Vocabulary


@given(st.integers(1, 4), st.integers(1, 6), st.integers(0, 60), st.booleans())
@settings(deadline=None)
def test_sequential_rows_go_on_where_they_stopped(batch, steps, more, varied):
    windows = Windows(np.arange(batch * steps + 1 + more), batch, steps, varied=varied)
    batches = list(windows.batches(epoch=2))
    for x, y in batches:
        np.testing.assert_array_equal(x + 1, y)
    rows = np.concatenate([x for x, _ in batches], axis=1)
    np.testing.assert_array_equal(rows, rows[:, :1] + np.arange(rows.shape[1]))
    np.testing.assert_array_equal(rows[:, 0], np.arange(batch) * windows.row_length)
    assert len(batches) == len(windows) == windows.row_length // steps
    assert rows.shape[1] <= windows.row_length


@given(st.integers(1, 4), st.integers(1, 6), st.integers(0, 60), st.integers(0, 3))
@settings(deadline=None)
def test_random_windows_do_not_overlap(batch, steps, more, epoch):
    windows = Windows(np.arange(batch * steps + 1 + more), batch, steps, order="random")
    seen = [token for x, y in windows.batches(epoch) for token in x.ravel()]
    assert len(set(seen)) == len(seen) and len(seen) % (batch * steps) == 0


def test_random_windows_are_others_each_epoch_and_the_same_by_seed():
    windows = Windows(np.arange(500), 4, 10, order="random", seed=3)
    again = Windows(np.arange(500), 4, 10, order="random", seed=3)
    first, second = (np.concatenate([x for x, _ in windows.batches(epoch)]) for epoch in (0, 1))
    assert first.shape != second.shape or (first != second).any()
    np.testing.assert_array_equal(first, np.concatenate([x for x, _ in again.batches(0)]))


def test_a_dataset_is_the_epoch_that_the_windows_are_at():
    windows = Windows(np.arange(200), 2, 5, order="random", seed=1)
    dataset = windows.dataset(start=4)
    assert len(dataset) == len(windows) - 4
    for windows.epoch in (3, 4):
        expected = list(windows.batches(windows.epoch))[4:]
        for (x, _), (y, _) in zip(dataset, expected, strict=True):
            np.testing.assert_array_equal(x, y)


def test_resets_stand_at_the_first_token_of_a_document():
    ids = np.array([5, 6, 0, 7, 8, 9, 0, 5, 6, 7, 0, 8, 9])  # 0 ends a document
    windows = Windows(ids, batch=2, steps=3, document_end=0)
    flags = np.concatenate([x["reset"] for x, _ in windows.batches()], axis=1)
    assert flags.astype(int).tolist() == [[1, 0, 0, 1, 0, 0], [0, 1, 0, 0, 0, 1]]
    element = next(iter(windows.dataset()))
    assert element[0]["reset"].dtype == bool and element[0]["tokens"].shape == (2, 3)


def test_a_corpus_larger_than_memory_is_streamed(tmp_path):
    def peak(size):
        path = tmp_path / f"{size}.bin"
        np.memmap(path, np.int32, "w+", shape=(size,)).flush()
        windows = Windows(np.memmap(path, np.int32, "r"), 20, 50)
        tracemalloc.start()
        for _ in itertools.islice(windows.batches(), 50):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(50_000_000) < 50_000_000 * 4 / 10  # places are kept, tokens are not


def test_a_file_is_encoded_piece_by_piece(tmp_path, monkeypatch):
    monkeypatch.setattr("keras_rnnkit.data.corpus.CHUNK", 10)
    text = "".join(f"line {i}\n" for i in range(30))
    (tmp_path / "text.txt").write_text(text)
    vocabulary = Vocabulary.of(text)
    ids = encode_file(tmp_path / "text.txt", vocabulary, tmp_path / "text.bin")
    assert vocabulary.decode(ids) == text and not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"batch": 4, "steps": 10}, "4 rows of 10 steps take 41 tokens. Received: a text of 30"),
        ({"batch": 0, "steps": 3}, "1 or more. Received: batch=0, steps=3"),
        ({"batch": 1, "steps": 3, "order": "shuffled"}, "Received: order='shuffled'"),
        ({"batch": 1, "steps": 3, "order": "random", "varied": True}, "go on from each other"),
    ],
)
def test_bad_settings_get_a_sentence(arguments, sentence):
    with pytest.raises(TextError, match=sentence):
        Windows(np.arange(30), **arguments)

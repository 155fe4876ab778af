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
from keras_rnnkit.text.files import read_text


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
    assert all(x.shape[1] > 0 for x, _ in batches)
    left_out = windows.row_length - rows.shape[1]
    assert left_out == 0 if varied else 0 <= left_out < steps


@given(st.integers(1, 4), st.integers(1, 6), st.integers(0, 60), st.integers(0, 3))
@settings(deadline=None)
def test_random_windows_do_not_overlap(batch, steps, more, epoch):
    windows = Windows(np.arange(batch * steps + 1 + more), batch, steps, order="random")
    seen = [token for x, y in windows.batches(epoch) for token in x.ravel()]
    assert len(set(seen)) == len(seen) and len(seen) % (batch * steps) == 0


def test_windows_of_varied_length_vary_around_the_steps():
    windows = Windows(np.arange(100_001), batch=10, steps=50, varied=True)
    lengths = np.array([windows.places(epoch)[i][1] for epoch in range(3) for i in range(len(windows))])
    assert lengths.sum() == 3 * windows.row_length
    assert lengths.mean() == 50 and 4 < lengths.std() < 10
    assert 0.02 < np.mean(lengths < 35) < 0.1  # one in twenty is about half as long


def test_random_windows_begin_at_every_offset():
    """Sooner or later every token stands at the beginning of a window, also where there is little room to move."""
    windows = Windows(np.arange(2 * 5 + 1 + 20), 2, 5, order="random")
    offsets = {
        min(begin for i in range(len(windows)) for begin in windows.places(epoch)[i][0]) % 5 for epoch in range(40)
    }
    assert offsets == set(range(5))
    tight = Windows(np.arange(2 * 5 + 1 + 2), 2, 5, order="random")
    assert {min(tight.places(epoch)[0][0]) for epoch in range(40)} == {0, 1, 2}


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
    monkeypatch.setattr("keras_rnnkit.data.corpus.BLOCK", 10)
    text = "".join(f"line {i}\n" for i in range(30))
    (tmp_path / "text.txt").write_text(text)
    vocabulary = Vocabulary.of(text)
    ids = encode_file(tmp_path / "text.txt", vocabulary, tmp_path / "text.bin")
    assert vocabulary.decode(ids) == text and not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"batch": 4, "steps": 10}, "4 rows of 10 steps need 41 tokens. Received: a text of 30"),
        ({"batch": 0, "steps": 3}, "must be 1 or more. Received: batch=0, steps=3"),
        ({"batch": 1, "steps": 3, "order": "shuffled"}, "Received: order='shuffled'"),
        ({"batch": 1, "steps": 3, "order": "random", "varied": True}, "must follow each other.*order='sequential'"),
    ],
)
def test_bad_settings_get_a_sentence(arguments, sentence):
    with pytest.raises(TextError, match=sentence):
        Windows(np.arange(30), **arguments)


def test_a_file_that_cannot_be_encoded_leaves_nothing_behind(tmp_path):
    vocabulary = Vocabulary.of("abc\n")
    for content, sentence in (
        (b"abc\nabd\n", "has 1 token"),
        (b"abc\n\xe9", "is not UTF-8: it has the byte 0xe9"),
        (b"", "is empty"),
    ):
        (tmp_path / "text.txt").write_bytes(content)
        (tmp_path / "ids").write_bytes(b"from before")
        with pytest.raises(TextError, match=sentence):
            encode_file(tmp_path / "text.txt", vocabulary, tmp_path / "ids")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["ids", "text.txt"]
        assert (tmp_path / "ids").read_bytes() == b"from before"
    with pytest.raises(TextError, match="There is no file"):
        encode_file(tmp_path / "none.txt", vocabulary, tmp_path / "ids")


@pytest.mark.parametrize("block", [3, 2**20])
def test_a_file_is_encoded_as_it_is_read(block, tmp_path, monkeypatch):
    """A byte order mark and the ends of lines that other systems write are no tokens; U+2028 ends no line."""
    monkeypatch.setattr("keras_rnnkit.data.corpus.BLOCK", block)
    path = tmp_path / "text.txt"
    path.write_bytes("\ufeffab\r\nb\u2028a\rab\x85\x0c\n".encode())
    assert read_text(path) == "ab\nb\u2028a\nab\x85\x0c\n"
    vocabulary = Vocabulary.of(read_text(path))
    assert "\r" not in vocabulary and "\ufeff" not in vocabulary
    ids = encode_file(path, vocabulary, tmp_path / "ids")
    np.testing.assert_array_equal(ids, vocabulary.encode(read_text(path)))


@pytest.mark.parametrize("order", ["sequential", "random"])
def test_a_batch_that_does_not_exist(order):
    places = Windows(np.arange(100), batch=2, steps=5, order=order).places(0)
    for number in (-1, len(places)):
        with pytest.raises(IndexError, match=f"There are {len(places)} batches. Received: number {number}."):
            places[number]

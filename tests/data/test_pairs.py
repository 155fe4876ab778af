"""Pairs in batches, files of them, images with captions, what is drawn and spelled."""

import numpy as np
import pytest

import keras_rnnkit as rk
from keras_rnnkit.data.scenes import COLOURS, PLACES, SHAPES, UNSEEN
from keras_rnnkit.text import TextError


def some(rng, count=200):
    sources = [rng.integers(4, 50, size=rng.integers(1, 30)) for _ in range(count)]
    return sources, [[2, *rng.integers(4, 50, size=rng.integers(1, 20)), 3] for _ in sources]


def test_every_pair_is_there_once_an_epoch_in_another_order(rng):
    sources, targets = some(rng)
    pairs, seen = rk.data.Pairs(sources, targets, tokens=300, rows=16), []
    for epoch in range(2):
        pairs.epoch = epoch
        lines = []
        for number in range(len(pairs)):
            (source, before), target = pairs.batch(number)
            assert len(source) <= 16 and (len(source) == 1 or source.size + target.size <= 300)
            for s, b, t in zip(source, before, target, strict=True):
                assert b[0] == 2 and t[np.count_nonzero(t) - 1] == 3
                np.testing.assert_array_equal(b[1 : np.count_nonzero(t)], t[: np.count_nonzero(t) - 1])
                lines.append((tuple(s[s > 0]), tuple(t[t > 0])))
        expected = {(tuple(s), tuple(t[1:])) for s, t in zip(sources, targets, strict=True)}
        assert set(lines) == expected and len(lines) == len(sources)
        seen.append(lines)
    assert seen[0] != seen[1]


def test_little_is_padded(rng):
    sources, targets = some(rng, 2000)
    pairs = rk.data.Pairs(sources, targets, tokens=2000, rows=64)
    used = total = 0
    for number in range(len(pairs)):
        (source, _), target = pairs.batch(number)
        used, total = used + np.count_nonzero(source) + np.count_nonzero(target), total + source.size + target.size
    assert used / total > 0.75


def test_a_dataset_follows_the_epochs_and_may_begin_in_the_middle(rng):
    pairs = rk.data.Pairs(*some(rng), tokens=300)
    pairs.epoch = 3
    for number, ((source, before), target) in enumerate(pairs.dataset(start=2), 2):
        (s, b), t = pairs.batch(number)
        for x, y in ((source, s), (before, b), (target, t)):
            np.testing.assert_array_equal(x, y)
    assert number == len(pairs) - 1


def test_images_are_batched_by_the_tokens_of_their_targets(rng):
    """A row of one array has no tokens of its own: eight targets of four tokens fill a batch of 32."""
    images = rng.integers(0, 255, size=(20, 4, 6, 3)).astype("uint8")
    pairs = rk.data.Pairs(images, [[2, 4, 5, 3]] * 20, tokens=32, width=1)
    assert sorted(len(pairs.batch(i)[0][0]) for i in range(len(pairs))) == [4, 8, 8]
    (image, before), target = pairs.dataset().element_spec
    assert image.shape.as_list() == [None, 4, 6, 3] and image.dtype == "uint8"
    assert before.shape.as_list() == target.shape.as_list() == [None, None]


def test_no_batch_has_more_rows_than_allowed():
    pairs = rk.data.Pairs([[4]] * 700, [[2, 5, 3]] * 700, tokens=10**6, rows=300)
    assert sorted(len(pairs.batch(i)[1]) for i in range(len(pairs))) == [100, 300, 300]


def test_images_stay_what_they_are(rng):
    images = rng.integers(0, 255, size=(5, 8, 8, 3)).astype("uint8")
    pairs = rk.data.Pairs(images, [[2, 4, 3]] * 5, tokens=10**9, rows=2, width=10**6, seed=None)
    np.testing.assert_array_equal(np.concatenate([pairs.batch(i)[0][0] for i in range(len(pairs))]), images)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Go.\tVa !\nRun!\n", "Line 2 of .* has no tab: 'Run!'"),
        ("\tVa !\n", "Line 1 of .* has an empty source"),
        ("Go.\t \n", "Line 1 of .* has an empty target"),
        ("\n\n", "is empty. Each line must have a source, a tab and a target"),
    ],
)
def test_files_of_pairs_that_are_none(text, sentence, tmp_path):
    (tmp_path / "pairs.tsv").write_text(text)
    with pytest.raises(TextError, match=sentence):
        rk.data.read_pairs(tmp_path / "pairs.tsv")


def test_only_line_breaks_end_lines(tmp_path):
    text = "\ufeffone\u2028two\tun\x85deux\r\nthree\x0c\ttrois\tmore\rfour\tquatre\n"
    (tmp_path / "pairs.tsv").write_bytes(text.encode())
    pairs = [("one\u2028two", "un\x85deux"), ("three", "trois"), ("four", "quatre")]
    assert rk.data.read_pairs(tmp_path / "pairs.tsv") == pairs
    for name in ("a.png", "b.png"):
        (tmp_path / name).touch()
    (tmp_path / "captions.tsv").write_bytes("\ufeffa.png\tone\u2028red\r\nb.png\ttwo\x85\n".encode())
    captions = rk.data.read_captions(tmp_path / "captions.tsv", tmp_path)
    assert [(path.name, text) for path, text in captions] == [("a.png", "one\u2028red"), ("b.png", "two")]


def test_there_may_be_no_file_of_pairs(tmp_path):
    with pytest.raises(TextError, match="There is no file"):
        rk.data.read_pairs(tmp_path / "nowhere.tsv")
    (tmp_path / "latin.tsv").write_bytes("Été\tsummer".encode("latin-1"))
    with pytest.raises(TextError, match="is not UTF-8: byte 0 is 0xc9"):
        rk.data.read_pairs(tmp_path / "latin.tsv")


def test_a_caption_may_name_an_image_that_is_not_there(tmp_path):
    from PIL import Image

    Image.new("RGB", (40, 20), (200, 0, 0)).save(tmp_path / "red.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    captions = tmp_path / "captions.tsv"
    captions.write_text("red.png#0\tall red\nred.png#1\tRed\n")
    assert [text for _, text in rk.data.read_captions(captions, tmp_path)] == ["all red", "Red"]
    image = rk.data.read_image(tmp_path / "red.png", 16)
    assert image.shape == (16, 16, 3) and (image == [200, 0, 0]).all()
    for text, sentence in (
        ("red.png\tred\nblue.png\tblue\n", "Line 2 of .* names 'blue.png', and there is no such image"),
        ("red.png\n", "Line 1 of .* has no caption"),
        ("", "is empty"),
    ):
        captions.write_text(text)
        with pytest.raises(TextError, match=sentence):
            rk.data.read_captions(captions, tmp_path)
    with pytest.raises(TextError, match="cannot be read as an image"):
        rk.data.read_image(tmp_path / "broken.png", 16)


def test_days_are_spelled_as_their_languages_do():
    pairs = rk.data.date_pairs(300, seed=1, max_days=2)
    assert len({source for source, _ in pairs}) == 300 and pairs == rk.data.date_pairs(300, seed=1, max_days=2)
    assert any(" and " in target for _, target in pairs) and any("août" in source for source, _ in pairs)
    for source, target in rk.data.date_pairs(100, seed=2):
        assert source[-4:] == target[-4:] and any(c.isdigit() for c in target[:-4])


def test_scenes_show_what_they_say():
    """A thing's colour is at its place, and the combinations kept apart are kept apart."""
    seen, apart = rk.data.scenes(60, seed=1, max_things=1), rk.data.scenes(60, seed=2, max_things=2, unseen=1.0)
    for image, caption in zip(seen.images, seen.captions, strict=True):
        words = caption.split()
        colour, row, column = COLOURS[words[2]], *divmod(PLACES.index(" ".join(words[4:])), 3)
        middle = image[row * 16 + 6 : row * 16 + 10, column * 16 + 6 : column * 16 + 10].reshape(-1, 3)
        assert np.abs(np.median(middle, axis=0) - colour).max() < 40
    kept = [f"{colour} {shape}" for colour, shape in UNSEEN]
    assert not any(pair in caption for caption in seen.captions for pair in kept) and not seen.unseen.any()
    assert all(any(pair in caption for pair in kept) for caption in apart.captions) and apart.unseen.all()
    some = rk.data.scenes(200, seed=3, unseen=None)
    assert 0 < some.unseen.sum() < 60
    for caption, unseen in zip(some.captions, some.unseen, strict=True):
        assert any(pair in caption for pair in kept) == unseen
    assert {caption.split()[3] for caption in seen.captions} == set(SHAPES)

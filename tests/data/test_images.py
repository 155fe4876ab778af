"""Images of every mode are read as people see them."""

import numpy as np
import pytest
from PIL import Image

import keras_rnnkit as rk


@pytest.mark.parametrize(("dtype", "name"), [(np.uint16, "grey.png"), (np.int32, "grey.tif")])
def test_grey_images_of_16_bits_keep_their_shades(tmp_path, dtype, name):
    shades = np.full((32, 32), 32768, dtype)
    Image.fromarray(shades).save(tmp_path / name)
    image = rk.data.read_image(tmp_path / name, 32)
    assert image.dtype == np.uint8 and abs(int(image.mean()) - 127) <= 1


def test_what_is_transparent_is_white(tmp_path):
    pixels = np.zeros((32, 32, 4), np.uint8)
    pixels[8:24, 8:24] = (200, 0, 0, 255)
    Image.fromarray(pixels).save(tmp_path / "clear.png")
    Image.fromarray(pixels).quantize(4).save(tmp_path / "palette.png", transparency=0)
    image = rk.data.read_image(tmp_path / "clear.png", 32)
    assert image[0, 0].tolist() == [255, 255, 255] and image[16, 16].tolist() == [200, 0, 0]
    assert rk.data.read_image(tmp_path / "palette.png", 32)[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize(("encoding", "name"), [("latin1", "latin1"), ("utf-16", "utf-16")])
def test_captions_in_another_encoding_are_a_sentence_with_the_right_hint(tmp_path, encoding, name):
    (tmp_path / "captions.tsv").write_bytes("a.png\tein grüner Kreis\n".encode(encoding))
    with pytest.raises(rk.text.TextError, match=f"is not UTF-8.*iconv -f {name} -t utf-8 captions.tsv"):
        rk.data.read_captions(tmp_path / "captions.tsv", tmp_path)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("a.png\t", "Line 2 of .* has no caption: 'a.png"),
        ("\ta circle", "Line 2 of .* has no image"),
        ("b.png\ta circle", "Line 2 of .* names 'b.png', and there is no such image in"),
    ],
)
def test_a_line_without_a_caption_or_an_image(tmp_path, line, sentence):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "captions.tsv").write_text(f"a.png#0\ta square\n{line}\n")
    with pytest.raises(rk.text.TextError, match=sentence):
        rk.data.read_captions(tmp_path / "captions.tsv", tmp_path)
    (tmp_path / "captions.tsv").write_text("a.png#0\ta square\n\n")
    assert rk.data.read_captions(tmp_path / "captions.tsv", tmp_path) == [(tmp_path / "a.png", "a square")]


def test_a_byte_order_mark_is_no_token(tmp_path):
    (tmp_path / "text.txt").write_bytes("\ufeffabc".encode() * 1 + b"abc" * 20)
    corpus = rk.data.read_corpus(tmp_path / "text.txt")
    assert set(rk.text.Vocabulary.of(corpus.train).tokens) == set("abc")

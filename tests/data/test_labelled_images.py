"""Images in folders of labels are read in grey, and what cannot be read is named."""

import numpy as np
import pytest
from PIL import Image

from keras_rnnkit.data.labelled_images import handwritten_digits, read_labelled_images
from keras_rnnkit.text import TextError


def write_images(folder, colours, size=(20, 20)):
    folder.mkdir(parents=True, exist_ok=True)
    for number, colour in enumerate(colours):
        Image.new("RGB", size, colour).save(folder / f"{number}.png")


def test_images_of_different_sizes_are_scaled_and_grey(tmp_path):
    write_images(tmp_path / "b", ["white", "red"])
    write_images(tmp_path / "a", ["black"], (30, 40))
    (tmp_path / "a" / "notes.txt").write_text("no image")
    (tmp_path / "empty").mkdir()
    images = read_labelled_images(tmp_path, 8)
    assert images.labels == ["a", "b"] and images.numbers.tolist() == [0, 1, 1]
    assert images.images.shape == (3, 8, 8) and images.images[:, 0, 0].tolist() == [0, 255, 76]


def test_what_cannot_be_read_is_named(tmp_path):
    write_images(tmp_path / "a", ["black"])
    write_images(tmp_path / "b", ["black"])
    (tmp_path / "b" / "1.jpg").write_bytes(b"no image")
    with pytest.raises(TextError, match="b/1.jpg' cannot be read as an image"):
        read_labelled_images(tmp_path, 8)


def test_no_folder_no_images_and_one_label(tmp_path):
    with pytest.raises(TextError, match="There is no folder .* of images. Put the images of each label into a folder"):
        read_labelled_images(tmp_path / "nowhere", 8)
    with pytest.raises(TextError, match="has no folders with images"):
        read_labelled_images(tmp_path, 8)
    write_images(tmp_path / "a", ["black", "white"])
    with pytest.raises(TextError, match="All images of .* have the label 'a', so there is nothing to learn"):
        read_labelled_images(tmp_path, 8)


def test_digits_use_all_shades():
    digits = handwritten_digits()
    assert len(np.unique(digits.images)) == 17 and np.bincount(digits.numbers).min() > 150

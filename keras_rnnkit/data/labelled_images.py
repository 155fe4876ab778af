"""Small grey images with a label each: the handwritten digits of scikit-learn, or the images of a user's folder."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_rnnkit.data.clips import IMAGES, in_order
from keras_rnnkit.data.images import read_image
from keras_rnnkit.text import TextError
from keras_rnnkit.text.files import check_folder

LAYOUT = "Put the images of each label into a folder that has the name of the label: FOLDER/LABEL/1.png."


class LabelledImages(NamedTuple):
    """Grey images with their labels.

    Arguments:
        images: [N, size, size], uint8.
        numbers: the number of each image's label [N], int32.
        labels: the labels in the order of their numbers.
    """

    images: np.ndarray
    numbers: np.ndarray
    labels: list[str]


def handwritten_digits() -> LabelledImages:
    """The 1,797 digits of 8 x 8 pixels that scikit-learn ships: white on black, with 17 shades of grey.

    E. Alpaydin and C. Kaynak, Optical recognition of handwritten digits, 1998.

    >>> digits = handwritten_digits()
    >>> digits.images.shape, int(digits.images.max()), digits.labels[:3]
    ((1797, 8, 8), 255, ['0', '1', '2'])
    """
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise ImportError("The digits need scikit-learn: pip install 'keras-rnnkit[digits]'") from error
    bunch = load_digits()
    images = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    return LabelledImages(images, bunch.target.astype(np.int32), [str(digit) for digit in range(10)])


def read_labelled_images(folder: str | Path, size: int) -> LabelledImages:
    """The images in the folders of labels, in grey; of each, the largest square in its middle is scaled.

    Arguments:
        folder: a folder of folders that have the names of labels.
        size: height and width of the images.

    Raises TextError, which names the file, for what cannot be read.
    """
    folder = Path(folder)
    check_folder(folder, "images", LAYOUT)
    paths = {inner.name: image_paths(inner) for inner in in_order(folder.iterdir()) if inner.is_dir()}
    paths = {label: files for label, files in paths.items() if files}
    if not paths:
        raise TextError(f"{str(folder)!r} has no folders with images. {LAYOUT}")
    if len(paths) == 1:
        raise TextError(
            f"All images of {str(folder)!r} have the label {next(iter(paths))!r}, so there is nothing to learn. "
            f"{LAYOUT}"
        )
    images = [grey(read_image(path, size)) for files in paths.values() for path in files]
    numbers = np.repeat(np.arange(len(paths)), [len(files) for files in paths.values()])
    return LabelledImages(np.stack(images), numbers.astype(np.int32), list(paths))


def image_paths(folder: Path) -> list[Path]:
    """The images in a folder. Other files are left out."""
    return in_order(path for path in folder.iterdir() if path.suffix.lower() in IMAGES)


def grey(image: np.ndarray) -> np.ndarray:
    """The brightness of an image [H, W, 3], as ITU-R BT.601 weighs the colours.

    >>> grey(np.array([[[255, 255, 255], [0, 0, 255]]], np.uint8)).tolist()
    [[255, 29]]
    """
    return np.round(image @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)

"""Images of a folder with their captions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from keras_rnnkit.text import TextError


def read_captions(path: str | Path, folder: str | Path) -> list[tuple[Path, str]]:
    """The images and captions of a file with the name of an image, a tab and a caption on each line.

    An image may have several lines. A caption file of Flickr 8k, `name.jpg#0`, a tab, a caption, reads too.
    """
    path, folder = Path(path), Path(folder)
    if not folder.is_dir():
        raise TextError(f"There is no folder {str(folder)!r} of images.")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (FileNotFoundError, IsADirectoryError):
        raise TextError(f"There is no file {str(path)!r} of captions.") from None
    found = [caption_of(line, number, path, folder) for number, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise TextError(f"{str(path)!r} is empty. Give a file with the name of an image, a tab and a caption a line.")
    return found


def caption_of(line: str, number: int, path: Path, folder: Path) -> tuple[Path, str]:
    name, _, caption = line.partition("\t")
    name, caption = name.strip().split("#")[0], caption.strip()
    if not name or not caption:
        raise TextError(
            f"Line {number} of {str(path)!r} has no {'caption' if name else 'image'}: {line[:60]!r}. A line is the "
            "name of an image, a tab and a caption."
        )
    image = folder / name
    if not image.is_file():
        raise TextError(
            f"Line {number} of {str(path)!r} names {name!r}, and there is no such image in {str(folder)!r}."
        )
    return image, caption


def read_image(path: str | Path, size: int) -> np.ndarray:
    """An image as [size, size, 3] numbers from 0 to 255: the largest square of its middle, made as small."""
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ModuleNotFoundError as error:
        raise ImportError("Images need the pillow package: pip install 'keras-rnnkit[images]'") from error
    try:
        with Image.open(path) as image:
            square: Any = ImageOps.fit(ImageOps.exif_transpose(image).convert("RGB"), (size, size))
            return np.asarray(square, np.uint8)
    except (UnidentifiedImageError, OSError) as error:
        raise TextError(f"{str(path)!r} cannot be read as an image: {error}.") from None

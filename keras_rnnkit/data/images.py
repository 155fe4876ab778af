"""Images of a folder with their captions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from keras_rnnkit.text import TextError
from keras_rnnkit.text.files import check_folder, read_lines

FORM = "Each line must have the name of an image, a tab and a caption."


def read_captions(path: str | Path, folder: str | Path) -> list[tuple[Path, str]]:
    """The images and captions of a file with the name of an image, a tab and a caption on each line.

    An image may have more than one line. A caption file of Flickr 8k can be read too: its lines are `name.jpg#0`, a tab
    and a caption.

    Arguments:
        path: the file of captions.
        folder: the folder that has the images.
    """
    folder = Path(folder)
    check_folder(folder, "images")
    lines = read_lines(path, FORM)
    return [caption_of(line, number, path, folder) for number, line in enumerate(lines, 1) if line.strip()]


def caption_of(line: str, number: int, path: str | Path, folder: Path) -> tuple[Path, str]:
    """The image and the caption on one line; its number and the path are for the error."""
    name, _, caption = line.partition("\t")
    name, caption = name.strip().split("#")[0], caption.strip()
    if not name or not caption:
        problem = "caption" if name else "image"
        raise TextError(f"Line {number} of {str(path)!r} has no {problem}: {line[:60]!r}. {FORM}")
    image = folder / name
    if not image.is_file():
        raise TextError(
            f"Line {number} of {str(path)!r} names {name!r}, and there is no such image in {str(folder)!r}."
        )
    return image, caption


def read_image(path: str | Path, size: int) -> np.ndarray:
    """The largest square in the middle of an image, resized to [size, size, 3], as numbers from 0 to 255.

    What is transparent is shown on white. Grey images of 16 bits keep their shades.
    """
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ModuleNotFoundError as error:
        raise ImportError("Images need the pillow package: pip install 'keras-rnnkit[images]'") from error
    try:
        with Image.open(path) as image:
            square: Any = ImageOps.fit(in_colour(ImageOps.exif_transpose(image)), (size, size))
            return np.asarray(square, np.uint8)
    except (UnidentifiedImageError, OSError) as error:
        raise TextError(f"{str(path)!r} cannot be read as an image: {error}.") from None


def in_colour(image: Any) -> Any:
    """An image of any mode as red, green and blue of 8 bits each.

    Pillow's own conversion cuts off what is above 255 in images of 16 bits, and shows what is transparent as it is
    stored, which is mostly black.
    """
    from PIL import Image

    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image, np.int64).clip(0, 65535) // 257).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")

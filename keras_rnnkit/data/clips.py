"""Clips of a folder, each a folder of frames or an animated image, with a label for every frame.

FOLDER/labels.csv      optional: lines `clip,frame,label` say from which frame on, counted from 0, a label holds
FOLDER/CLIP/1.png      with labels.csv, a clip is a folder of images or a file such as CLIP.gif
FOLDER/LABEL/CLIP/...  without it, the clips of one label are in a folder of that name, and all their frames have it
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_rnnkit.data.images import in_colour
from keras_rnnkit.text import TextError
from keras_rnnkit.text.files import check_folder, read_lines

ANIMATED = (".gif", ".webp", ".apng")
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif")
LABELS = "labels.csv"
LAYOUTS = (
    "Put clips (folders of frames, or GIF files) beside a labels.csv with lines `clip,frame,label`, or into folders "
    "that have the names of their labels."
)


class Clip(NamedTuple):
    """A clip: its name, frames [T, size, size, 3] of uint8, and a label for every frame."""

    name: str
    frames: np.ndarray
    labels: list[str]


def read_clips(folder: str | Path, size: int) -> list[Clip]:
    """All clips of a folder, in the order of their names.

    Arguments:
        folder: the folder; the page of this module shows its two layouts.
        size: height and width of the frames; of each frame, the largest square in its middle is scaled to this size.

    Raises TextError, which names the file, for what cannot be read, for frames of different sizes in one clip, for
    labels of clips or frames that do not exist, and for clips without a label.
    """
    folder = Path(folder)
    check_folder(folder, "clips", LAYOUTS)
    clips = list(clips_by_file(folder, size) if (folder / LABELS).exists() else clips_by_folder(folder, size))
    if not clips:
        raise TextError(f"{str(folder)!r} has no clips. {LAYOUTS}")
    return clips


def clips_by_file(folder: Path, size: int) -> Iterator[Clip]:
    """The clips beside labels.csv."""
    changes, paths = read_changes(folder / LABELS), {path.name: path for path in clip_paths(folder)}
    missing = next((name for name in changes if name not in paths), None)
    if missing is not None:
        line = next(iter(changes[missing].values()))[1]
        raise TextError(
            f"Line {line} of {str(folder / LABELS)!r} names the clip {missing!r}, and {folder} has no such clip."
        )
    for name, path in paths.items():
        if name not in changes:
            raise TextError(f"The clip {name!r} has no line in {str(folder / LABELS)!r}. Add `{name},0,LABEL`.")
        frames = read_frames(path, size)
        yield Clip(name, frames, labels_of(changes[name], len(frames), name, folder / LABELS))


def clips_by_folder(folder: Path, size: int) -> Iterator[Clip]:
    """The clips in folders that have the names of labels."""
    for inner in in_order(path for path in folder.iterdir() if path.is_dir()):
        for path in clip_paths(inner):
            frames = read_frames(path, size)
            yield Clip(f"{inner.name}/{path.name}", frames, [inner.name] * len(frames))


def clip_paths(folder: Path) -> list[Path]:
    """The clips in a folder: folders that hold images, and animated images."""
    return in_order(
        path for path in folder.iterdir() if (frame_paths(path) if path.is_dir() else path.suffix.lower() in ANIMATED)
    )


def frame_paths(folder: Path) -> list[Path]:
    """The images in a folder, so that frame 10 comes after frame 9. Other files are left out."""
    return in_order(path for path in folder.iterdir() if path.suffix.lower() in IMAGES)


def in_order(paths: Any) -> list[Path]:
    """Paths by name, with the numbers in the names as numbers; hidden ones are left out.

    >>> [path.name for path in in_order([Path("frame10.png"), Path("frame9.png"), Path(".DS_Store")])]
    ['frame9.png', 'frame10.png']
    """

    def key(path: Path) -> list[Any]:
        return [(int(text), "") if text.isdigit() else (-1, text) for text in re.split(r"(\d+)", path.name)]

    return sorted((path for path in paths if not path.name.startswith(".")), key=key)


# ---------------------------------------------------------------------- labels


def read_changes(path: Path) -> dict[str, dict[int, tuple[str, int]]]:
    """For each clip, by the frame from which it holds, a label and the number of its line."""
    form = "Each line must be `clip,frame,label`: the label holds from this frame, counted from 0, to the next line's."
    changes: dict[str, dict[int, tuple[str, int]]] = {}
    for number, row in enumerate(csv.reader(read_lines(path, form)), 1):
        fields = [field.strip() for field in row]
        if not any(fields) or (number == 1 and fields == ["clip", "frame", "label"]):
            continue
        if len(fields) != 3 or not all(fields) or not re.fullmatch(r"\d+", fields[1], re.ASCII):
            raise TextError(f"Line {number} of {str(path)!r} is {','.join(row)[:60]!r}. {form}")
        of_clip, frame = changes.setdefault(fields[0], {}), int(fields[1])
        if frame in of_clip:
            raise TextError(f"Lines {of_clip[frame][1]} and {number} of {str(path)!r} label the same frame {frame}.")
        of_clip[frame] = fields[2], number
    return changes


def labels_of(changes: dict[int, tuple[str, int]], frames: int, name: str, path: Path) -> list[str]:
    """The label of every frame of a clip."""
    last = max(changes)
    if last >= frames:
        raise TextError(
            f"Line {changes[last][1]} of {str(path)!r} labels frame {last} of {name!r}, which has {frames} frames, 0 "
            f"to {frames - 1}."
        )
    if 0 not in changes:
        raise TextError(f"Frame 0 of {name!r} has no label in {str(path)!r}. Add `{name},0,LABEL`.")
    starts = sorted(changes)
    return [changes[starts[int(place)]][0] for place in np.searchsorted(starts, np.arange(frames), side="right") - 1]


# ---------------------------------------------------------------------- frames


def read_frames(path: Path, size: int) -> np.ndarray:
    """The frames of a clip [T, size, size, 3], uint8."""
    squares: list[np.ndarray] = []
    first, expected = "", (0, 0)
    for name, image in images_of(path):  # whole images are kept no longer than this, a video has thousands
        if not squares:
            first, expected = name, image.size
        if image.size != expected:
            raise TextError(
                f"All frames of a clip must have the same size. {first} is {expected[0]} x {expected[1]} pixels and "
                f"{name} is {image.size[0]} x {image.size[1]}. Scale them to one size."
            )
        squares.append(squared(image, size))
    return np.stack(squares)


def images_of(path: Path) -> Iterator[tuple[str, Any]]:
    """The frames of a folder or of an animated image, each with its name."""
    from PIL import ImageOps, ImageSequence

    for file in frame_paths(path) if path.is_dir() else [path]:
        with opened(file) as image:
            try:
                if path.is_dir():
                    yield str(file), in_colour(ImageOps.exif_transpose(image))
                else:
                    yield from (
                        (f"frame {i} of {file}", in_colour(x)) for i, x in enumerate(ImageSequence.Iterator(image))
                    )
            except (OSError, EOFError, SyntaxError, ValueError) as error:
                raise unreadable(file, error) from None


def opened(file: Path) -> Any:
    """An image that Pillow has identified."""
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise ImportError("Images need the pillow package: pip install 'keras-rnnkit[images]'") from error
    try:
        return Image.open(file)
    except (OSError, SyntaxError, ValueError) as error:  # UnidentifiedImageError is an OSError
        raise unreadable(file, error) from None


def unreadable(file: Path, error: Exception) -> TextError:
    return TextError(f"{str(file)!r} cannot be read as an image: {error}.")


def squared(image: Any, size: int) -> np.ndarray:
    """The largest square in the middle of an image, scaled."""
    from PIL import ImageOps

    return np.asarray(ImageOps.fit(image, (size, size)), np.uint8)

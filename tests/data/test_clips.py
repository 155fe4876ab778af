"""Clips of a folder: both layouts are read, and wrong ones are a sentence that names the file or the line."""

import numpy as np
import pytest
from PIL import Image

from keras_rnnkit.data.clips import read_clips
from keras_rnnkit.text import TextError


def shade(value, size=(20, 16)):
    return Image.new("RGB", size, (value, value, value))


def write_gif(path, values, size=(20, 16)):
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = [shade(value, size) for value in values]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=50)


def write_frames(folder, values, size=(20, 16)):
    folder.mkdir(parents=True, exist_ok=True)
    for number, value in enumerate(values):
        shade(value, size).save(folder / f"{number}.png")


def labels_file(folder, *lines):
    (folder / "labels.csv").write_text("\n".join(lines), encoding="utf-8")


def test_folders_of_labels(tmp_path):
    write_gif(tmp_path / "dark" / "a.gif", [0, 40])
    write_frames(tmp_path / "light" / "b", range(100, 112))
    (tmp_path / "light" / "b" / "notes.txt").write_text("no frame")
    (tmp_path / "light" / ".hidden").write_text("")
    dark, light = read_clips(tmp_path, 8)
    assert (dark.name, dark.labels) == ("dark/a.gif", ["dark"] * 2) and dark.frames.shape == (2, 8, 8, 3)
    assert dark.frames[:, 0, 0, 0].tolist() == [0, 40]
    assert light.frames[:, 0, 0, 0].tolist() == list(range(100, 112))  # frame 10 comes after frame 9


def test_labels_of_a_file_hold_until_the_next_line(tmp_path):
    write_frames(tmp_path / "b", [1, 2, 3, 4])
    write_gif(tmp_path / "a.gif", [10, 20, 30])
    labels_file(tmp_path, "clip,frame,label", "b,2,up", "b,0,down", "", "a.gif,0,up")
    clips = {clip.name: clip.labels for clip in read_clips(tmp_path, 8)}
    assert clips == {"a.gif": ["up"] * 3, "b": ["down", "down", "up", "up"]}


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["a,0"], "Line 1 of .* is 'a,0'. Each line must be `clip,frame,label`"),
        (["clip,frame,label", "a,zero,up"], "Line 2 of .* is 'a,zero,up'"),
        (["a,0,up", "c,0,up"], "Line 2 of .* names the clip 'c', and .* has no such clip"),
        (["a,0,up", "b,0,up", "a,4,down"], "Line 3 of .* labels frame 4 of 'a', which has 4 frames, 0 to 3"),
        (["a,1,up", "b,0,up"], "Frame 0 of 'a' has no label in .*Add `a,0,LABEL`"),
        (["a,0,up"], "The clip 'b' has no line in"),
        (["a,0,up", "a,0,down"], "Lines 1 and 2 of .* label the same frame 0"),
    ],
)
def test_labels_that_do_not_fit(tmp_path, lines, sentence):
    for name in "ab":
        write_frames(tmp_path / name, [1, 2, 3, 4])
    labels_file(tmp_path, *lines)
    with pytest.raises(TextError, match=sentence):
        read_clips(tmp_path, 8)


def test_frames_of_different_sizes_in_one_clip(tmp_path):
    write_frames(tmp_path / "up" / "a", [1, 2])
    shade(3, (10, 10)).save(tmp_path / "up" / "a" / "2.png")
    with pytest.raises(TextError, match=r"must have the same size. .*0.png is 20 x 16 pixels and .*2.png is 10 x 10"):
        read_clips(tmp_path, 8)


def test_clips_of_different_sizes_are_scaled(tmp_path):
    write_frames(tmp_path / "up" / "a", [1, 2])
    write_frames(tmp_path / "up" / "b", [1, 2], (40, 40))
    assert np.stack([clip.frames for clip in read_clips(tmp_path, 8)]).shape == (2, 2, 8, 8, 3)


@pytest.mark.parametrize("name", ["up/a/1.png", "up/b.gif"])
def test_what_cannot_be_read_is_named(tmp_path, name):
    write_frames(tmp_path / "up" / "a", [1, 2])
    (tmp_path / name).write_bytes(b"no image")
    with pytest.raises(TextError, match=rf"{name}' cannot be read as an image"):
        read_clips(tmp_path, 8)


@pytest.mark.parametrize("kind", ["gif", "png"])
def test_a_file_that_was_cut_off_is_named(tmp_path, kind):
    noise = [Image.fromarray(np.random.default_rng(i).integers(0, 255, (64, 64, 3), np.uint8)) for i in range(4)]
    path = tmp_path / "up" / ("a.gif" if kind == "gif" else "a/0.png")
    path.parent.mkdir(parents=True)
    noise[0].save(path, **({"save_all": True, "append_images": noise[1:]} if kind == "gif" else {}))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(TextError, match=rf"{path.name}' cannot be read as an image"):
        read_clips(tmp_path, 8)


def test_no_folder_and_no_clips(tmp_path):
    with pytest.raises(TextError, match="There is no folder .* of clips. Put clips"):
        read_clips(tmp_path / "nowhere", 8)
    (tmp_path / "empty").mkdir()
    with pytest.raises(TextError, match="has no clips. Put clips"):
        read_clips(tmp_path, 8)

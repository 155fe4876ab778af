"""Wrong data is one sentence that says what came and what to do, before anything of an earlier run is touched."""

import pytest

from keras_rnnkit.cli.training import load_pipeline
from keras_rnnkit.settings import SettingsError
from keras_rnnkit.text import TextError

PIPELINES = ("language_model", "words", "translation")
PAIRS = "".join(f"word {i}\tWort {i}\n" for i in range(40))

EVERYWHERE = {
    "none": (None, "There is no file"),
    "empty": (b"", "is empty"),
    "blank": (b" \n\t\n ", "is empty"),
    "latin-1": ("Größe\tsize\n".encode("latin1") * 50, "is not UTF-8: byte 2 is 0xf6. Convert it.*iconv -f latin1"),
    "utf-16": (("a b\tc d\n" * 50).encode("utf-16"), "is not UTF-8: byte 0 is 0xff. Convert it.*iconv -f utf-16"),
    "bytes": (bytes(range(256)) * 4, "is not UTF-8: byte 128 is 0x80"),
}
OWN = [
    ("language_model", b"too short", "50 rows of 50 steps need 2501 tokens. Received: a text of 9"),
    ("words", b"one\ntwo\n", "has 2 different words. Give a list of 20 or more"),
    ("words", b"same\n" * 100, "has 1 different words"),
    ("translation", PAIRS.encode() + b"no tab here\n", "Line 41 of .* has no tab: 'no tab here'"),
    ("translation", PAIRS.encode() + b"source\t\n", "Line 41 of .* has an empty target"),
    ("translation", PAIRS.encode() + b"\ttarget\n", "Line 41 of .* has an empty source"),
    ("translation", b"a\tb\n", "has 1 examples, and 2 are to be held out"),
]


def refused(name, content, sentence, folder):
    file, out = folder / "data.txt", folder / "out"
    if content is not None:
        file.write_bytes(content)
    pipeline = load_pipeline(name)
    with pytest.raises((SettingsError, TextError), match=sentence) as caught:
        pipeline.run(pipeline.Settings(data=file, out=out))
    assert "\n" not in str(caught.value).strip() and not out.exists()


@pytest.mark.parametrize("kind", EVERYWHERE)
@pytest.mark.parametrize("name", PIPELINES)
def test_a_file_that_cannot_be_read(name, kind, tmp_path):
    refused(name, *EVERYWHERE[kind], tmp_path)


FILES = {
    "words": (r"a file is expected. Give a file with one word per line", {}),
    "translation": (r"a file is expected. Each line must have a source, a tab and a target", {}),
    "series": (r"a file is expected. Give a .csv or .tsv file .*", {"target": "y"}),
    "sentiment": (r"a file is expected. Give a .csv or .tsv file .*", {"text": "x", "label": "y"}),
}
FOLDERS = {
    "drawing": r"a folder of images is expected. Put the images of each label",
    "glimpses": r"a folder of images is expected. Put the images of each label",
    "frames": r"a folder of clips is expected. Put clips",
}
EMPTY_FOLDERS = {
    "language_model": r"must have files for training and validation, such as train.txt.*It has: nothing",
    "drawing": "has no folders with images. Put the images of each label",
    "glimpses": "has no folders with images. Put the images of each label",
    "frames": "has no clips. Put clips",
}


@pytest.mark.parametrize("name", [*FILES, *EMPTY_FOLDERS])
def test_a_folder_without_what_is_expected(name, tmp_path):
    pipeline = load_pipeline(name)
    sentence, columns = FILES.get(name, (EMPTY_FOLDERS.get(name), {}))
    (tmp_path / "data").mkdir()
    with pytest.raises(TextError, match=rf"data' (is a folder, and )?{sentence}"):
        pipeline.run(pipeline.Settings(data=tmp_path / "data", out=tmp_path / "out", **columns))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", FOLDERS)
def test_a_file_in_the_place_of_a_folder(name, tmp_path):
    pipeline = load_pipeline(name)
    (tmp_path / "data.txt").write_bytes(bytes(range(256)))
    with pytest.raises(TextError, match=f"data.txt' is a file, and {FOLDERS[name]}"):
        pipeline.run(pipeline.Settings(data=tmp_path / "data.txt", out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_captions_and_images_that_have_changed_places(tmp_path):
    pipeline = load_pipeline("captioning")
    file, folder = tmp_path / "captions.tsv", tmp_path / "images"
    file.write_text("a.png\ta red box\n")
    folder.mkdir()
    for path, sentence in ((file, "is a file, and a folder of images"), (folder, "is a folder, and a file")):
        with pytest.raises(TextError, match=sentence):
            pipeline.run(pipeline.Settings(images=path, captions=path, out=tmp_path / "out"))


@pytest.mark.parametrize(("name", "content", "sentence"), OWN)
def test_a_file_that_does_not_fit(name, content, sentence, tmp_path):
    refused(name, content, sentence, tmp_path)


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ("a.png a red box\n", "Line 1 of .* has no caption: 'a.png a red box'"),
        ("none.png\ta red box\n", "none.png"),
        ("".join(f"text{i}.png\ta red box\n" for i in range(4)), "text0.png"),
        ("", "is empty"),
    ],
)
def test_captions_that_do_not_fit(lines, sentence, tmp_path):
    (tmp_path / "captions.tsv").write_text(lines)
    for number in range(4):
        (tmp_path / f"text{number}.png").write_text("no image")
    pipeline = load_pipeline("captioning")
    settings = {"images": tmp_path, "captions": tmp_path / "captions.tsv", "out": tmp_path / "out"}
    with pytest.raises((SettingsError, TextError), match=sentence):
        pipeline.run(pipeline.Settings(**settings, valid_count=1, test_count=1))
    assert not (tmp_path / "out").exists()

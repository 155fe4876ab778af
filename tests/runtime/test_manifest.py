"""The manifest: whatever it says is read rightly or refused in one sentence, and no path leads out of the bundle."""

import copy as copies
import json
import os

import pytest

import keras_rnnkit as rk
from keras_rnnkit.inspection import lines
from keras_rnnkit.runtime import BundleError
from keras_rnnkit.runtime.manifest import LARGEST, TRANSLATION, parsed
from keras_rnnkit.runtime.schema import SchemaError

JUNK = [None, True, -1, 1.5, 10**30, float("inf"), "", "\ud800", "../x", [], [[[]]], {}, {"a": {"b": []}}]


def places(value, path=()):
    """The paths to every value of a JSON document."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def changed(manifest, path, junk):
    """A copy with another value in one place; `...` removes it."""
    if not path:
        return junk
    manifest = copies.deepcopy(manifest)
    parent = manifest
    for key in path[:-1]:
        parent = parent[key]
    if junk is ...:
        del parent[path[-1]]
    else:
        parent[path[-1]] = junk
    return manifest


def read_all(folder):
    """Everything that anybody does with a manifest."""
    bundle = rk.runtime.load(folder)
    for mode in bundle.manifest["graphs"]:
        bundle.graph(mode)
    assert bundle.vocabulary is None
    "\n".join(lines(folder)).encode()


def test_every_value_may_be_anything(copy):
    """A manifest is taken, and then all of it can be used; or it is refused by a BundleError of one line."""
    original = json.loads((copy / "manifest.json").read_text())
    refused = accepted = 0
    for path in list(places(original)):
        for junk in (..., *JUNK) if path else JUNK:
            manifest = changed(original, path, junk)
            try:
                taken = parsed(json.dumps(manifest).encode(), "manifest.json")
            except BundleError as error:
                assert "\n" not in str(error) and str(error).endswith("."), error
                refused += 1
                continue
            accepted += 1
            if taken != original and accepted % 7 == 0:  # each run opens two graphs
                (copy / "manifest.json").write_text(json.dumps(manifest))
                try:
                    read_all(copy)
                except BundleError as error:
                    assert "\n" not in str(error)
    assert refused > 500 and accepted > 50


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"format": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"format": ' + b"9" * 10_000 + b"}",
        b'{"format": NaN}',
        b'{"format": 1e999}',
        b'{"format": true}',
        b'{"format": 1, "format": 1}',
        b"[]",
        b"null",
        b" " * (LARGEST + 1),
    ],
    ids=lambda content: repr(content[:20]),
)
def test_what_is_not_a_manifest(content):
    with pytest.raises(BundleError, match="is not the manifest of a bundle: .*Export the model again.$"):
        parsed(content, "manifest.json")


@pytest.mark.parametrize("version", [0, 2, 10**6])
def test_other_versions(copy, version):
    manifest = json.loads((copy / "manifest.json").read_text())
    content = json.dumps({"format": version, "files": "of another shape"} | ({} if version else manifest)).encode()
    if version:
        with pytest.raises(BundleError, match=f"has format {version}; this keras_rnnkit reads format 1"):
            parsed(content, "manifest.json")


@pytest.mark.parametrize(
    "name",
    [
        "../step.onnx",
        "/etc/passwd",
        "a/../../b",
        "./step.onnx",
        "a//b",
        "a/",
        ".",
        "",
        "manifest.json",
        "a\\b",
        "C:x",
        "a\0b",
        "a\nb",
    ],
)
def test_names_of_files_that_are_none(copy, name):
    for place in ("files", "graph", "quantized", "vocabulary"):
        manifest = json.loads((copy / "manifest.json").read_text())
        facts = dict(manifest["files"]["step.onnx"])
        if place == "files":
            manifest["files"][name] = facts
        elif place == "graph":
            manifest["graphs"]["stream"]["file"] = name
        elif place == "quantized":
            manifest["graphs"]["stream"]["quantized"]["int8"] = {"file": name, "error": 0.0}
        else:
            manifest["vocabulary"] = name
        (copy / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(BundleError, match="lies outside of the bundle|must be the path of a file in the bundle"):
            rk.runtime.load(copy)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("source", "text"),
        ("source_shape", [None, 0, 3]),
        ("source_tokens", 0),
        ("limit", 0),
        ("begin", -1),
        ("end", 1.5),
        ("tokens", 0),
    ],
)
def test_a_translation_that_cannot_be_read(name, value):
    facts = {"source": "features", "source_tokens": None, "source_shape": [None, 1, None], "limit": None}
    facts |= {"begin": 0, "end": 3, "tokens": 1}
    TRANSLATION(facts, "translation")
    with pytest.raises(SchemaError, match=f"translation.{name}"):
        TRANSLATION(facts | {name: value}, "translation")


def test_a_file_listed_twice(copy):
    text = (copy / "manifest.json").read_text()
    entry = json.dumps(json.loads(text)["files"]["step.onnx"])
    (copy / "manifest.json").write_text(
        text.replace('"files": {', f'"files": {{"first": {entry}, "step.onnx": {entry},')
    )
    with pytest.raises(BundleError, match="must be one that has every key once. Received: 'step.onnx'"):
        rk.runtime.load(copy)


def test_a_graph_whose_hash_is_missing(copy):
    manifest = json.loads((copy / "manifest.json").read_text())
    del manifest["files"]["step.onnx"]
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="graphs.stream.file must be one of the files that the manifest lists"):
        rk.runtime.load(copy)


def test_a_size_that_is_not_the_file_s(copy):
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["files"]["step.onnx"]["size"] += 1
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="'step.onnx' .* is not the one that was written"):
        rk.runtime.load(copy)


@pytest.mark.parametrize("name", ["step.onnx", "manifest.json"])
def test_a_link_out_of_the_folder(copy, tmp_path, name):
    (copy / name).rename(tmp_path / "elsewhere")
    (copy / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match=f"The file '{name}' .* is a link that leads out of it"):
        rk.runtime.load(copy)


def test_a_link_of_a_folder_out_of_the_folder(copy, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (copy / "step.onnx").rename(tmp_path / "elsewhere" / "step.onnx")
    (copy / "inner").symlink_to(tmp_path / "elsewhere")
    text = (copy / "manifest.json").read_text().replace('"step.onnx"', '"inner/step.onnx"')
    (copy / "manifest.json").write_text(text)
    with pytest.raises(BundleError, match="is a link that leads out of it"):
        rk.runtime.load(copy)


def test_links_inside_the_folder_and_to_the_folder_are_followed(copy, tmp_path):
    """A mounted volume may be made of them."""
    (copy / "data").mkdir()
    (copy / "step.onnx").rename(copy / "data" / "step.onnx")
    (copy / "step.onnx").symlink_to("data/step.onnx")
    (tmp_path / "current").symlink_to(copy)
    rk.runtime.load(tmp_path / "current").stream()


@pytest.mark.parametrize(
    "make", [os.mkfifo, os.mkdir, lambda path: os.symlink(path, path)], ids=["pipe", "folder", "loop"]
)
@pytest.mark.parametrize("name", ["step.onnx", "manifest.json"])
def test_what_is_not_a_plain_file(copy, name, make):
    (copy / name).unlink()
    make(copy / name)
    with pytest.raises(BundleError):
        rk.runtime.load(copy)


@pytest.mark.parametrize("path", ["", "nowhere", "a\0b", "x" * 5000])
def test_no_folder_at_all(path):
    with pytest.raises(BundleError):
        rk.runtime.load(path)

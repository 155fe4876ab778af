"""The bytes that are loaded are the ones whose hash was checked, however late, whatever happens to the folder."""

import gc
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import keras_rnnkit as rk
from keras_rnnkit.runtime import BundleError, bundle_files, graph


@pytest.mark.parametrize("mode", ["sequence", "stream"])
def test_every_byte_counts(copy, mode):
    name = {"sequence": "sequence.onnx", "stream": "step.onnx"}[mode]
    content = (copy / name).read_bytes()
    for place in np.linspace(0, len(content) - 1, 12, dtype=int):
        broken = bytearray(content)
        broken[place] ^= 1
        (copy / name).write_bytes(broken)
        with pytest.raises(BundleError, match=f"'{name}' .* is not the one that was written"):
            rk.runtime.load(copy)


def test_a_file_that_is_changed_between_check_and_use(copy, x):
    bundle = rk.runtime.load(copy)
    bundle.predict(x)
    with (copy / "step.onnx").open("r+b") as file:
        file.seek(100)
        file.write(b"X")
    with pytest.raises(BundleError, match="'step.onnx' .* is not the one that was written"):
        bundle.stream()


def test_a_file_that_is_swapped_between_check_and_use(copy, x):
    """The other file is not even looked at: the one that was checked is still open."""
    bundle = rk.runtime.load(copy)
    shutil.copy(copy / "sequence.onnx", copy / "other")
    (copy / "other").replace(copy / "step.onnx")
    assert bundle.stream(rows=2).push(x).shape == (2, 6, 2)
    with pytest.raises(BundleError, match="'step.onnx' .* is not the one that was written"):
        rk.runtime.load(copy)


def test_a_loaded_bundle_outlives_its_folder(copy, x):
    bundle = rk.runtime.load(copy)
    shutil.rmtree(copy)
    np.testing.assert_allclose(bundle.stream(rows=2).push(x), bundle.predict(x), atol=1e-5)


def test_the_session_is_built_from_the_bytes_that_were_hashed(copy, monkeypatch):
    seen = []
    original = graph.open_session
    monkeypatch.setattr(graph, "open_session", lambda content, *rest: seen.append(content) or original(content, *rest))
    bundle = rk.runtime.load(copy)
    bundle.graph("stream")
    assert seen == [(copy / "step.onnx").read_bytes()]


def test_files_are_closed(copy):
    def open_files():
        """Those of the bundle: other tests of this process have left files that close when they like."""
        links = Path("/proc/self/fd").iterdir()
        return sum(os.path.realpath(link).startswith(str(copy)) for link in links)

    assert open_files() == 0
    bundle = rk.runtime.load(copy)
    assert open_files() == 2
    bundle.graph("stream")
    assert open_files() == 1
    del bundle
    gc.collect()
    assert open_files() == 0
    (copy / "step.onnx").write_bytes(b"")
    with pytest.raises(BundleError):
        rk.runtime.load(copy)
    gc.collect()
    assert open_files() == 0


def test_a_folder_that_is_replaced_while_it_is_opened(copy, tmp_path, monkeypatch, x):
    """The manifest is of the old folder, a file of it is gone already: the reader begins again."""
    shutil.copytree(copy, tmp_path / "next")
    original, times = bundle_files.read_manifest, []

    def read_manifest(folder):
        manifest = original(folder)
        times.append(1)
        if len(times) == 1:
            shutil.rmtree(copy)
            (tmp_path / "next").rename(copy)
            manifest["files"]["gone.onnx"] = manifest["files"]["step.onnx"]
        return manifest

    monkeypatch.setattr(bundle_files, "read_manifest", read_manifest)
    assert rk.runtime.load(copy).predict(x).shape == (2, 6, 2)
    assert len(times) == 2


def test_a_new_folder_never_looks_like_the_one_that_is_read(copy, monkeypatch):
    """File systems give the number of a removed folder to the next one."""
    with bundle_files.kept_identity(copy) as before:
        for _ in range(20):
            shutil.rmtree(copy)
            copy.mkdir()
            assert bundle_files.identity(copy) != before


def test_a_folder_that_never_rests(copy, monkeypatch):
    monkeypatch.setattr(bundle_files, "PAUSE", 0)
    numbers = iter(range(10**6))
    monkeypatch.setattr(bundle_files, "identity", lambda folder: next(numbers))
    (copy / "step.onnx").unlink()
    with pytest.raises(BundleError, match="was replaced 100 times while it was read"):
        rk.runtime.load(copy)

"""Folders and files: whole or not there, one writer wins, nothing of anybody else is lost, leftovers of the dead go."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import keras_rnnkit as rk
from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.saving import files, folder_swap
from tests.runtime.conftest import folder  # noqa: F401 - a bundle, as a fixture


def contents(path):
    return sorted(p.relative_to(path).as_posix() for p in path.rglob("*"))


@pytest.fixture
def bundle(folder, tmp_path):  # noqa: F811
    return shutil.copytree(folder, tmp_path / "words")


def export(source, destination):
    """What `export_bundle` does, with the files of another bundle in place of a model's."""
    with files.folder(files.checked_folder(destination, "manifest.json")) as temporary:
        for path in source.iterdir():
            shutil.copy(path, temporary)


@pytest.fixture(params=["exchanged", "in two steps"])
def swap(request, monkeypatch):
    """Both ways of putting a folder in the place of another."""
    if request.param == "in two steps":
        monkeypatch.setattr(folder_swap, "exchange", unsupported)
    return request.param


def unsupported(a, b):
    raise OSError(errno.EINVAL, "not on this file system")


# What may be replaced


def test_a_bundle_of_ours_is_replaced(bundle, folder, swap):  # noqa: F811
    inode = bundle.stat().st_ino
    export(folder, bundle)
    assert contents(bundle) == contents(folder) and bundle.stat().st_ino != inode
    assert [path.name for path in bundle.parent.iterdir()] == ["words"]
    rk.runtime.load(bundle)


FOREIGN = {
    "a foreign manifest": lambda path: (path / "manifest.json").write_text('{"name": "an app", "icons": []}'),
    "an empty manifest": lambda path: (path / "manifest.json").write_text(""),
    "another format": lambda path: (path / "manifest.json").write_text('{"format": 2, "files": {}}'),
    "a manifest that is a folder": lambda path: (path / "manifest.json").unlink() or (path / "manifest.json").mkdir(),
    "a file beside": lambda path: (path / "chapter.txt").write_text("I"),
    "a hidden file beside": lambda path: (path / ".git").write_text("I"),
    "a file in a folder beside": lambda path: (
        (path / "a" / "b").mkdir(parents=True) or (path / "a/b/c").write_text("I")
    ),
    "a link beside": lambda path: (path / "link").symlink_to("/"),
    "a link to nothing": lambda path: (path / "link").symlink_to("nothing"),
    "a listed name in a folder": lambda path: (path / "a").mkdir() or (path / "a" / "step.onnx").write_text("I"),
}


@pytest.mark.parametrize("change", FOREIGN.values(), ids=FOREIGN.keys())
def test_what_no_export_wrote_is_refused_and_untouched(bundle, folder, change):  # noqa: F811
    change(bundle)
    before = contents(bundle), {p: p.read_bytes() for p in bundle.rglob("*") if p.is_file()}
    with pytest.raises(ExportError, match="not replaced"):
        export(folder, bundle)
    assert before == (contents(bundle), {p: p.read_bytes() for p in bundle.rglob("*") if p.is_file()})
    assert [path.name for path in bundle.parent.iterdir()] == ["words"]


@pytest.mark.parametrize("change", FOREIGN.values(), ids=FOREIGN.keys())
def test_what_comes_while_the_export_runs_is_not_lost_either(bundle, folder, change):  # noqa: F811
    with pytest.raises(ExportError, match="not replaced"), files.folder(bundle) as temporary:
        shutil.copytree(folder, temporary, dirs_exist_ok=True)
        change(bundle)
        before = contents(bundle)
    assert before == contents(bundle) and [path.name for path in bundle.parent.iterdir()] == ["words"]


def test_a_file_that_comes_in_the_last_moment_is_kept(bundle, folder, monkeypatch, swap):  # noqa: F811
    original = folder_swap.put_in_place

    def put_in_place(new, path):
        (path / "chapter.txt").write_text("I")
        return original(new, path)

    monkeypatch.setattr(folder_swap, "put_in_place", put_in_place)
    export(folder, bundle)
    (kept,) = (path for path in bundle.parent.iterdir() if path.name != "words")
    assert kept.name.startswith("words.kept-") and contents(kept) == ["chapter.txt"]
    rk.runtime.load(bundle)


def test_empty_folders_and_changed_files_of_ours_are_replaced(bundle, folder):  # noqa: F811
    (bundle / "assets").mkdir()
    (bundle / "step.onnx").write_text("damaged")
    export(folder, bundle)
    rk.runtime.load(bundle)
    shutil.rmtree(bundle)
    bundle.mkdir()
    export(folder, bundle)
    rk.runtime.load(bundle)


def test_a_link_to_a_bundle_stays_a_link(bundle, folder, swap):  # noqa: F811
    (bundle.parent / "current").symlink_to("words")
    inode = bundle.stat().st_ino
    export(folder, bundle.parent / "current")
    assert (bundle.parent / "current").is_symlink() and bundle.stat().st_ino != inode


def saved_model(path, *names):
    with files.folder(files.checked_folder(path, "saved_model.pb")) as temporary:
        for name in ("saved_model.pb", "variables/variables.index", *names):
            (temporary / name).parent.mkdir(exist_ok=True)
            (temporary / name).write_text("I")


def test_saved_models_list_their_files_too(tmp_path, swap):
    saved_model(tmp_path / "model", "variables/old")
    saved_model(tmp_path / "model")
    assert json.loads((tmp_path / "model" / files.LISTING).read_text()) == {
        "files": ["saved_model.pb", "variables/variables.index"]
    }
    assert "variables/old" not in contents(tmp_path / "model")
    (tmp_path / "model" / "notes.txt").write_text("I")
    with pytest.raises(ExportError, match="holds files that no export wrote, so it is not replaced: 'notes.txt'"):
        saved_model(tmp_path / "model")
    (tmp_path / "model" / "notes.txt").unlink()
    (tmp_path / "model" / files.LISTING).unlink()
    with pytest.raises(ExportError, match="holds a saved_model.pb that keras_rnnkit did not write"):
        saved_model(tmp_path / "model")


def test_a_bundle_does_not_take_the_place_of_a_saved_model(bundle, folder, tmp_path):  # noqa: F811
    saved_model(tmp_path / "model")
    with pytest.raises(ExportError, match="no manifest.json, so it is not replaced"):
        export(folder, tmp_path / "model")
    with pytest.raises(ExportError, match="no saved_model.pb, so it is not replaced"):
        saved_model(bundle)


@pytest.mark.parametrize("path", ["file/below", "file"])
def test_folders_that_cannot_be(tmp_path, path):
    (tmp_path / "file").write_text("I")
    with pytest.raises(ExportError, match="cannot be made|names a file"):
        files.checked_folder(tmp_path / path, "manifest.json")


def test_devices_and_pipes_are_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/null"):
        with pytest.raises(ExportError, match="not a plain file"):
            files.checked(path)


def test_permissions_are_those_of_any_new_file(tmp_path, folder):  # noqa: F811
    before = os.umask(0o027)
    try:
        files.write(tmp_path / "model.onnx", b"1")
        export(folder, tmp_path / "bundle")
    finally:
        os.umask(before)
    assert (tmp_path / "model.onnx").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "bundle").stat().st_mode & 0o777 == 0o750


# Killed exports


WRITE = """
import os, signal, sys
from pathlib import Path
from keras_rnnkit.export.saving import files, folder_swap
def kill(*_): os.kill(os.getpid(), signal.SIGKILL)
path, point = Path(sys.argv[1]), sys.argv[2]
if point == "file":
    os.replace = kill
    files.write(path, b"new")
if point == "before":
    files.replace_folder = kill
if point in ("between", "after two steps"):
    def unsupported(a, b): raise OSError(22, "not here")
    folder_swap.exchange = unsupported
if point == "between":
    rename = os.rename
    def second(a, b): kill() if str(a).endswith("part") and not Path(b).exists() else rename(a, b)
    os.rename = second
if "after" in point:
    files.discard = kill
with files.folder(path) as temporary:
    for file in Path(sys.argv[3]).iterdir():
        (temporary / file.name).write_bytes(file.read_bytes())
"""


def killed(path, point, source):
    done = subprocess.run([sys.executable, "-c", WRITE, path, point, source], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize("point", ["before", "between", "after", "after two steps"])
def test_a_killed_export_leaves_a_whole_bundle_and_the_next_one_sweeps(bundle, folder, point):  # noqa: F811
    killed(bundle, point, folder)
    assert len(list(bundle.parent.iterdir())) > 1
    if point != "between":  # there it is back with the next export, on systems that cannot exchange folders
        rk.runtime.load(bundle)
    export(folder, bundle)
    assert [path.name for path in bundle.parent.iterdir()] == ["words"]
    rk.runtime.load(bundle)


def test_a_bundle_that_was_put_aside_comes_back_even_if_the_next_export_fails(bundle, folder):  # noqa: F811
    killed(bundle, "between", folder)
    assert not bundle.exists()
    with pytest.raises(ZeroDivisionError), files.folder(bundle):
        1 / 0  # noqa: B018
    rk.runtime.load(bundle)
    assert [path.name for path in bundle.parent.iterdir()] == ["words"]


def test_a_killed_export_of_a_file(tmp_path, folder):  # noqa: F811
    (tmp_path / "model.onnx").write_bytes(b"old")
    killed(tmp_path / "model.onnx", "file", folder)
    assert (tmp_path / "model.onnx").read_bytes() == b"old" and len(contents(tmp_path)) == 2
    files.write(tmp_path / "model.onnx", b"new")
    assert contents(tmp_path) == ["model.onnx"] and (tmp_path / "model.onnx").read_bytes() == b"new"


def test_only_leftovers_of_the_dead_are_swept(bundle, folder):  # noqa: F811
    """Not those of an export that still runs, nor what has another name."""
    others = [".words.part", ".words.0123456.rnnkit-part", ".words.0123456z.rnnkit-part", ".other.01234567.rnnkit-part"]
    for name in others:
        (bundle.parent / name).mkdir()
    (bundle.parent / ".words.01234567.rnnkit-part").symlink_to(bundle)
    with files.folder(bundle) as running:
        (running / "half").write_text("I")
        export(folder, bundle)
        assert (running / "half").exists()
        shutil.copytree(folder, running, dirs_exist_ok=True)
        (running / "half").unlink()
    assert {*others, "words", ".words.01234567.rnnkit-part"} == {path.name for path in bundle.parent.iterdir()}


# Several processes at once


WRITER = """
import shutil, sys, time
from pathlib import Path
from keras_rnnkit.export.saving import files, folder_swap
def unsupported(a, b): raise OSError(22, "not here")
destination, source, seconds = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
if sys.argv[4] == "in two steps":
    folder_swap.exchange = unsupported
stop, end, count = Path(sys.argv[5]), time.monotonic() + seconds, 0
while time.monotonic() < end and not stop.exists():
    with files.folder(files.checked_folder(destination, "manifest.json")) as temporary:
        shutil.copytree(source, temporary, dirs_exist_ok=True)
    count += 1
print(count)
"""

READER = """
import sys, time
import numpy as np
import keras_rnnkit as rk
answers, seconds = np.load(sys.argv[2]), float(sys.argv[3])
end, counts = time.monotonic() + seconds, [0] * len(answers)
x = np.ones((1, 4, 3), "float32")
while time.monotonic() < end and (min(counts) < 3 or sum(counts) < 20):
    bundle = rk.runtime.load(sys.argv[1])
    whole = bundle.predict(x)
    (which,) = [i for i, answer in enumerate(answers) if np.allclose(answer, whole, atol=1e-5)]
    np.testing.assert_allclose(bundle.stream().push(x), answers[which], atol=1e-5)  # opened later, of the same export
    counts[which] += 1
print(*counts)
"""


@pytest.fixture(scope="module")
def two(folder, tmp_path_factory):  # noqa: F811
    """Two bundles that differ in all their numbers, and what each answers."""
    import keras

    from tests.export.conftest import randomised
    from tests.export.table import sequential

    root = tmp_path_factory.mktemp("two")
    model = randomised(sequential(rk.GRU(4, return_sequences=True), keras.layers.Dense(2)), seed=8)
    rk.export_bundle(model, root / "other", saved_model=False)
    x = np.ones((1, 4, 3), "float32")
    np.save(root / "answers.npy", np.stack([rk.runtime.load(path).predict(x) for path in (folder, root / "other")]))
    return folder, root / "other", root / "answers.npy"


@pytest.mark.parametrize("how", ["exchanged", "in two steps"])
def test_writers_and_readers_of_one_name(two, tmp_path, how):
    """Every reader finds one bundle or the other, never none and never half of each; no writer fails."""
    seconds, path, stop = 60, tmp_path / "words", tmp_path / "stop"
    shutil.copytree(two[0], path)

    def start(code, *arguments):
        command = [sys.executable, "-c", code, *map(str, arguments)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    writers = [start(WRITER, path, source, seconds, how, stop) for source in two[:2]]
    readers = [start(READER, path, two[2], seconds) for _ in range(2)]
    read = [reader.communicate(timeout=90) for reader in readers]
    stop.touch()
    written = [writer.communicate(timeout=90) for writer in writers]
    assert [process.returncode for process in [*readers, *writers]] == [0] * 4, [error for _, error in read + written]
    assert all(int(out) > 2 for out, _ in written)
    assert all(min(map(int, out.split())) > 2 for out, _ in read), read
    assert {entry.name for entry in tmp_path.iterdir()} == {"words", "stop"}


def test_writers_of_one_file(tmp_path):
    code = (
        "import sys\nfrom pathlib import Path\nfrom keras_rnnkit.export.saving import files\n"
        "for _ in range(300): files.write(Path(sys.argv[1]), sys.argv[2].encode() * 10_000)"
    )
    path = tmp_path / "model.onnx"
    files.write(path, b"ab" * 10_000)
    writers = [subprocess.Popen([sys.executable, "-c", code, path, word]) for word in ("ab", "cd")]
    while any(writer.poll() is None for writer in writers):
        content = path.read_bytes()
        assert content in (b"ab" * 10_000, b"cd" * 10_000)
        time.sleep(0.001)
    assert [writer.returncode for writer in writers] == [0, 0] and contents(tmp_path) == ["model.onnx"]

"""`rnnkit web` without a browser: what it writes, and what it refuses."""

import errno
import json
import re
import shutil

import pytest
from typer.testing import CliRunner

import keras_rnnkit as rk
from keras_rnnkit.cli import app
from keras_rnnkit.web import onnxruntime
from tests.export.conftest import randomised
from tests.export.table import sequential
from tests.web.test_javascript import onnxruntime_web


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A run of a pipeline, with its bundle."""
    folder = tmp_path_factory.mktemp("exported") / "tiny"
    rk.export_bundle(randomised(sequential(rk.GRU(3))), folder / "bundle", modes=["sequence"], saved_model=False)
    return folder


def web(*arguments):
    return CliRunner().invoke(app, ["web", *(str(argument) for argument in arguments)])


def test_a_page_that_has_onnxruntime_from_a_public_network(run_folder, tmp_path):
    done = web(run_folder, tmp_path / "site")
    assert done.exit_code == 0, done.output
    page = (tmp_path / "site/index.html").read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page).group(1)
    directives = dict(directive.strip().partition(" ")[::2] for directive in policy.split(";"))
    wanted = json.loads(re.search(r'id="onnxruntime">(.*?)</script>', page).group(1))
    addresses = [file["address"] for file in wanted]
    assert directives["connect-src"].split() == ["'self'", *addresses]
    assert directives["default-src"] == "'none'" and "unsafe-inline" not in policy
    assert all(f"@{onnxruntime.VERSION}/" in address and address.startswith("https://") for address in addresses)
    assert all(re.fullmatch(r"sha384-[\w+/]{64}", file["integrity"]) for file in wanted)
    assert not (tmp_path / "site/ort").exists()
    assert "13.55 MB  onnxruntime" in done.output and "tiny" in done.output


def test_all_that_a_pipeline_exported_in_one_command(run_folder, tmp_path):
    (run_folder.parent / "README.md").write_text("What pipelines write.")
    done = web(*sorted(run_folder.parent.iterdir()), tmp_path / "gallery")
    assert done.exit_code == 0 and "README.md is a file, not a bundle, and was left out." in done.output
    assert [model["name"] for model in json.loads((tmp_path / "gallery/models.json").read_text())] == ["tiny"]


def test_what_it_refuses(run_folder, tmp_path):
    done = web(run_folder)
    assert done.exit_code == 1 and "one bundle or more, and the folder to write" in done.output
    done = web(run_folder, tmp_path / "site", "--ort", tmp_path)
    assert done.exit_code == 1 and "is not the npm package onnxruntime-web" in done.output
    done = web(run_folder, tmp_path / "site", "--quantized", "int4")
    assert done.exit_code == 1 and "int4" in done.output
    done = web(tmp_path, tmp_path / "site")
    assert done.exit_code == 1 and not (tmp_path / "site").exists()
    done = web(run_folder, tmp_path / "no" / "site")
    assert done.exit_code == 1 and "There is no folder" in done.output
    (tmp_path / "page.html").write_text("mine")
    done = web(run_folder, tmp_path / "page.html")
    assert done.exit_code == 1 and "The path names a file." in done.output
    assert (tmp_path / "page.html").read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_a_sentence(run_folder, tmp_path, monkeypatch):
    """Such as on a disk that is full in the middle: nothing is there afterwards."""

    def full(source, target):
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    monkeypatch.setattr(shutil, "copyfile", full)
    done = web(run_folder, tmp_path / "site")
    assert done.exit_code == 1 and "The page could not be written: No space left on device" in done.output
    assert list(tmp_path.iterdir()) == []


def renamed(run_folder, name):
    return shutil.copytree(run_folder / "bundle", run_folder.parents[1] / "named" / name, dirs_exist_ok=True)


@pytest.mark.parametrize("name", ["to be", "50%", "a?b", "a#b", "näh maschine"])
def test_a_name_that_cannot_be_part_of_an_address(run_folder, tmp_path, name):
    done = web(renamed(run_folder, name), tmp_path / "site")
    assert done.exit_code == 1 and f"The name {name!r} of a bundle cannot be part of an address." in done.output
    assert list(tmp_path.iterdir()) == []


def test_two_bundles_of_one_name(run_folder, tmp_path):
    other = shutil.copytree(run_folder, tmp_path / "other/tiny")
    done = web(run_folder, other, tmp_path / "site")
    assert done.exit_code == 1 and "The name 'tiny' of a bundle is there twice." in done.output


def test_a_bundle_that_is_named_from_inside(run_folder, tmp_path):
    """The name of `tiny/bundle/sub/..` is that of the run; it never is "..", which would leave the page."""
    (run_folder / "sub").mkdir(exist_ok=True)
    done = web(run_folder / "sub" / "..", tmp_path / "site")
    assert done.exit_code == 0, done.output
    assert [path.name for path in (tmp_path / "site/models").iterdir()] == ["tiny"]


def test_an_npm_folder_of_another_package_or_version(run_folder, tmp_path):
    (tmp_path / "ort/dist").mkdir(parents=True)
    (tmp_path / "ort/dist" / onnxruntime.MODULE).write_text("// without the files beside it")
    done = web(run_folder, tmp_path / "site", "--ort", tmp_path / "ort")
    assert done.exit_code == 1 and f"it has no {onnxruntime.LOADER!r}" in done.output
    for name in onnxruntime.FILES:
        (tmp_path / "ort/dist" / name).write_text("// another version")
    (tmp_path / "ort/package.json").write_text('{"name": "onnxruntime-web", "version": "1.20.0"}')
    done = web(run_folder, tmp_path / "site", "--ort", tmp_path / "ort")
    assert done.exit_code == 0
    assert f"has onnxruntime-web 1.20.0; pages were tested with {onnxruntime.VERSION}." in done.output


@pytest.mark.skipif(
    onnxruntime_web() is None, reason="set RNNKIT_ORT to the folder of onnxruntime-web to check its hashes"
)
def test_the_hashes_are_those_of_the_release():
    package = onnxruntime_web()
    version = json.loads((package / "package.json").read_text())["version"]
    if version != onnxruntime.VERSION:
        pytest.skip(f"The page takes onnxruntime-web {onnxruntime.VERSION}, and {version} is installed.")
    files = [(file.name, file.integrity, file.size) for _, file in onnxruntime.in_the_folder(package)]
    assert files == list(onnxruntime.RELEASE)


def test_a_service_worker_changes_with_every_file(run_folder, tmp_path):
    from keras_rnnkit.web.site import build

    first = build([run_folder], tmp_path / "first").folder
    assert (build([run_folder], tmp_path / "second").folder / "service_worker.js").read_bytes() == (
        first / "service_worker.js"
    ).read_bytes()
    other = shutil.copytree(run_folder, tmp_path / "other/tiny")
    manifest = json.loads((other / "bundle/manifest.json").read_text())
    (other / "bundle/manifest.json").write_text(json.dumps({**manifest, "name": "another"}))
    third = build([other], tmp_path / "third").folder
    assert (third / "service_worker.js").read_bytes() != (first / "service_worker.js").read_bytes()

"""Bundles are found in folders of bundles, in run folders, and in folders of both."""

import json
import logging
import shutil
from dataclasses import replace

import httpx
import pytest

from keras_rnnkit.serving.models.bundle_folders import bundle_folders
from tests.serving.conftest import running
from tests.serving.test_generation import until


@pytest.fixture
def exported(bundles, tmp_path):
    """A bundle, a run with two bundles, a run without one yet, and a folder of something else."""
    shutil.copytree(bundles / "series", tmp_path / "plain")
    for name in ("bundle", "bundle_ahead"):
        shutil.copytree(bundles / "series", tmp_path / "tides" / name)
    for run in ("tides", "unfinished"):
        (tmp_path / run / "report").mkdir(parents=True)
        (tmp_path / run / "run.json").write_text(json.dumps({"format": 1}))
    (tmp_path / "notes").mkdir()
    (tmp_path / ".hidden").mkdir()
    return tmp_path


def test_runs_are_called_like_their_folder(exported):
    bundles, left_out = bundle_folders(exported)
    assert bundles == {
        "plain": exported / "plain",
        "tides": exported / "tides" / "bundle",
        "tides_ahead": exported / "tides" / "bundle_ahead",
    }
    assert left_out == [
        "the folder notes is passed over: it holds no manifest.json",
        "the run unfinished is passed over: it has exported no bundle yet",
    ]


def test_a_run_folder_alone(exported):
    assert list(bundle_folders(exported / "tides").bundles) == ["tides", "tides_ahead"]
    assert bundle_folders(exported / "unfinished") == (
        {},
        ["the run unfinished is passed over: it has exported no bundle yet"],
    )


def test_a_bundle_alone(exported):
    assert list(bundle_folders(exported / "plain").bundles) == ["plain"]
    assert bundle_folders(exported / "nowhere") == ({}, [])


def test_two_bundles_of_one_name(exported):
    """The folder with that name is served, whatever the order of the folders is."""
    shutil.copytree(exported / "plain", exported / "tides_ahead")
    bundles, left_out = bundle_folders(exported)
    assert bundles["tides_ahead"] == exported / "tides_ahead"
    (clash,) = (sentence for sentence in left_out if "called" in sentence)
    assert clash == (
        f"the bundles {exported / 'tides_ahead'} and {exported / 'tides' / 'bundle_ahead'} are both called "
        "'tides_ahead', and the first is served: rename the folder of the other"
    )


def test_the_log_says_what_was_found(exported, settings, caplog):
    logger = logging.getLogger("keras_rnnkit")
    caplog.set_level(logging.INFO, logger="keras_rnnkit")
    logger.propagate = True
    with running(replace(settings, folder=exported, reload=0.05)) as (address, state):
        names = [model["name"] for model in httpx.get(f"http://{address}/v2/models").json()["models"]]
        assert names == ["plain", "tides", "tides_ahead"]
        shutil.copytree(exported / "plain", exported / "unfinished" / "bundle")
        until(lambda: "unfinished" in state.repository.models)
    messages = [record.getMessage() for record in caplog.records]
    assert f"bundles in {exported}: plain, tides, tides_ahead" in messages
    assert f"bundles in {exported}: plain, tides, tides_ahead, unfinished" in messages
    assert messages.count("the run unfinished is passed over: it has exported no bundle yet") == 1

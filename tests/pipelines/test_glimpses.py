"""The pipeline that reads images in glimpses, small."""

import shutil

import numpy as np
import pytest

import keras_rnnkit as rk
from keras_rnnkit.settings import SettingsError
from keras_rnnkit.text import TextError
from pipelines import glimpses
from pipelines.glimpses import NAMES, Settings
from tests.covering import studied
from tests.data.test_labelled_images import write_images
from tests.eager import eagerly


def test_the_bundle_looks_and_decides_as_keras_does(smoke_run):
    folder, _, metrics = smoke_run("glimpses")
    assert metrics["same places through onnxruntime"] == 1.0 and metrics["largest difference from Keras"] <= 1e-5
    stream = rk.runtime.load(folder / "bundle").stream()
    answer = stream.push({"patches": np.zeros((1, 1, 4), np.float32), "places": np.array([[5]], np.int32)})
    assert answer["label"].shape == (1, 1, 10) and answer["next"].shape == (1, 1, 16)
    assert {"accuracy.png", "glimpses.png", "curves.png"} <= {path.name for path in (folder / "report").iterdir()}


@studied("way", ["rows", "permuted"], ["rows"])
@eagerly()
def test_ways_with_a_fixed_order_are_exported_too(way, tmp_path):
    metrics = glimpses.run(Settings(smoke=True, way=way, out=tmp_path))
    assert metrics["largest difference from Keras"] <= 1e-5
    assert metrics["right"][f"{NAMES[way]}, 100.0% of the pixels"]["test"] <= 1
    (tmp_path / "moved").mkdir()
    shutil.move(tmp_path / "bundle", tmp_path / "moved" / "bundle")
    with pytest.raises(SettingsError, match="has a fixed order of places, which does not go with --way policy"):
        glimpses.run(Settings(smoke=True, evaluate=tmp_path / "moved" / "bundle", out=tmp_path / "evaluation"))


@eagerly()
def test_images_of_a_folder_and_wrong_ones(tmp_path):
    write_images(tmp_path / "images" / "dark", [(i, i, i) for i in range(20)], (30, 20))
    write_images(tmp_path / "images" / "light", [(255 - i, 255, 255) for i in range(20)])
    settings = {"smoke": True, "data": tmp_path / "images", "size": 4, "valid_count": 4, "test_count": 4}
    metrics = glimpses.run(Settings(**settings, out=tmp_path / "out"))
    assert metrics["images"]["test"] == 4
    (tmp_path / "images" / "light" / "x.png").write_bytes(b"no image")
    with pytest.raises(TextError, match="light/x.png' cannot be read as an image"):
        glimpses.run(Settings(**settings, out=tmp_path / "other"))
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"patch": 3}, "patch must divide size into parts. Received: size=8, patch=3"),
        ({"patch": 8}, "patch must divide size into parts"),
        ({"patch": 4, "glimpses": 5}, "An image has 4 places to look at. Received: glimpses=5"),
        ({"size": 16}, "The digits have 8 pixels a side. Received: size=16 without --data"),
        ({"way": "spiral"}, "Received: way='spiral'. Expected one of policy, scan"),
    ],
)
def test_settings_that_cannot_be(changes, sentence):
    with pytest.raises(SettingsError, match=sentence):
        Settings(**changes)


def test_pixels_are_counted():
    settings = Settings()
    assert glimpses.share_seen("policy", 6, 8, settings) == pytest.approx(24 / 64)
    assert glimpses.share_seen("pixels", 64, 8, settings) == glimpses.share_seen("cnn", 1, 8, settings) == 1

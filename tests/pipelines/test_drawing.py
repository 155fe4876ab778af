"""The pipeline that draws, small."""

import numpy as np
import pytest

import keras_rnnkit as rk
from keras_rnnkit.runs.drawn import degenerate_strokes, drawn_pixels
from keras_rnnkit.runs.folder import RunFolder
from keras_rnnkit.settings import SettingsError
from keras_rnnkit.text import TextError
from pipelines import drawing
from pipelines.drawing import Settings
from tests.data.test_labelled_images import write_images
from tests.eager import eagerly


def test_the_bundle_draws_and_completes(smoke_run):
    folder, settings, _ = smoke_run("drawing")
    bundle = rk.runtime.load(folder / "bundle")
    label, beginning = np.eye(10, dtype=np.float32)[[3, 4]], np.array([[4, 0, 1, 2], [4, 3, 2, 1]])
    drawn = drawn_pixels(bundle, beginning, label, 8, settings)
    assert drawn.shape == (2, 8, 8) and drawn.max() < 4 and drawn[:, 0, :3].tolist() == [[0, 1, 2], [3, 2, 1]]
    names = {"samples.png", "completions.png", "curves.png", "index.html", "metrics.json"}
    assert names == {path.name for path in (folder / "report").iterdir()}


def test_a_pixel_is_predicted_from_those_before_it(smoke_run):
    """The sabotage: a later pixel is changed, and what the model says before it must stay."""
    bundle = rk.runtime.load(smoke_run("drawing").folder / "bundle")
    pixels, label = np.full((1, 64), 2, np.int32), np.eye(10, dtype=np.float32)[:1]
    changed = pixels.copy()
    changed[0, 30] = 0
    first, second = (bundle.predict({"pixels": x, "label": label}) for x in (pixels, changed))
    differs = (first != second).any(axis=(0, 2))
    assert not differs[:30].any() and differs[30]


@eagerly()
def test_strokes_are_drawn_with_a_pen(tmp_path):
    metrics = drawing.run(Settings(smoke=True, way="strokes", out=tmp_path))
    assert metrics["nats a point, stroke by stroke"] > metrics["nats a point, without memory, stroke by stroke"]
    assert rk.runtime.load(tmp_path / "bundle") and (tmp_path / "report" / "strokes.png").exists()


@pytest.mark.study
def test_all_ways_at_once(tmp_path):
    metrics = drawing.run(Settings(smoke=True, compare=True, out=tmp_path))
    assert metrics["nats a point, stroke by stroke"] > metrics["nats a point, without memory, stroke by stroke"]
    for name in ("bundle", "bundle_rows", "bundle_strokes"):
        assert rk.runtime.load(tmp_path / name)
    assert {"samples_rows.png", "strokes.png"} <= {path.name for path in (tmp_path / "report").iterdir()}
    RunFolder(tmp_path).clear()
    assert not list(tmp_path.glob("bundle*"))


def test_the_bundles_of_all_ways_are_the_runs_own(tmp_path):
    """A new run in the folder replaces them."""
    RunFolder(tmp_path).write_record({"format": 1, "pipeline": "drawing", "run": "a"})
    for name in ("bundle", "bundle_rows", "bundle_strokes"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text("{}")
    RunFolder(tmp_path).clear()
    assert not list(tmp_path.glob("bundle*"))


@eagerly()
def test_images_of_a_folder_and_wrong_ones(tmp_path):
    write_images(tmp_path / "images" / "dark", [(i, i, i) for i in range(20)], (30, 20))
    write_images(tmp_path / "images" / "light", [(255 - i, 255, 255) for i in range(20)])
    settings = {"smoke": True, "data": tmp_path / "images", "size": 4, "valid_count": 4, "test_count": 4}
    assert drawing.run(Settings(**settings, way="rows", out=tmp_path / "out"))["bits a pixel, row by row"] > 0
    (tmp_path / "images" / "light" / "x.png").write_bytes(b"no image")
    with pytest.raises(TextError, match="light/x.png' cannot be read as an image"):
        drawing.run(Settings(**settings, out=tmp_path / "other"))
    assert not (tmp_path / "other").exists()


def test_drawings_that_are_empty_or_all_the_same_are_told():
    point, line = np.zeros((1, 3)), np.ones((4, 3))
    assert "3 of 4 drawings with a pen are empty" in degenerate_strokes({"strokes": [[point, point], [point, line]]})
    assert "2 of 2 drawings with a pen are the same" in degenerate_strokes({"strokes": [[line], [line + 0.01]]})
    assert degenerate_strokes({"strokes": [[line], [2 * line]]}) is None and degenerate_strokes({"pixels": 1}) is None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"levels": 1}, "levels must be 2 to 256. Received: levels=1"),
        ({"size": 16}, "The digits have 8 pixels a side. Received: size=16 without --data"),
        ({"data": "images", "way": "strokes"}, "Strokes are generated, and --data is of images"),
        ({"temperature": 0.0}, "temperature must be above 0"),
    ],
)
def test_settings_that_cannot_be(changes, sentence):
    with pytest.raises(SettingsError, match=sentence):
        Settings(**changes)

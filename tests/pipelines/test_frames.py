"""The pipeline that labels the frames of clips, small."""

import json
import shutil

import numpy as np
import pytest

import keras_rnnkit as rk
from keras_rnnkit.data.moving_shapes import MOTIONS, moving_shapes
from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.runs.errors import RunError
from keras_rnnkit.runs.streamed import check_streamed
from keras_rnnkit.settings import SettingsError
from keras_rnnkit.text import TextError
from pipelines import frames
from pipelines.frames import Settings
from tests.data.test_clips import write_frames, write_gif
from tests.eager import eagerly
from tests.pipelines.interrupted import best_weights, same, trained

SMALL = {"count": 12, "valid_count": 4, "test_count": 5, "window": 6, "units": 6, "embedding": 6, "compare": False}


def write_clips(folder, count=20):
    """GIF files of moving shapes of 6 and 7 frames, with the labels of their frames in a file."""
    from PIL import Image

    lines = ["clip,frame,label"]
    for length in (6, 7):
        shapes = moving_shapes(count // 2, seed=length, frames=length)
        for number, (images, labels) in enumerate(zip(shapes.frames, shapes.labels, strict=True)):
            name = f"{length}_{number}.gif"
            first, *others = [Image.fromarray(image) for image in images]
            first.save(folder / name, save_all=True, append_images=others)
            lines += [f"{name},{frame},{MOTIONS[label]}" for frame, label in enumerate(labels)]
    (folder / "labels.csv").write_text("\n".join(lines), encoding="utf-8")


@eagerly()
def test_clips_of_a_folder_are_labelled_and_streamed(tmp_path):
    """Clips of two lengths; the bundle gives frame by frame what Keras gives, in a run that compares three models."""
    write_clips(tmp_path)
    settings = Settings(data=tmp_path, out=tmp_path / "out", epochs=1, **{**SMALL, "compare": True})
    metrics = frames.run(settings)
    assert list(metrics["right"])[:3] == ["recurrent", "two frames", "one frame"] and len(metrics["right"]) == 4
    assert metrics["right, frame by frame through onnxruntime"] == metrics["right"]["recurrent"]
    assert metrics["largest difference from Keras"] <= 1e-5
    assert json.loads((tmp_path / "out" / "vocabulary_labels.json").read_text())["tokens"] == sorted(MOTIONS)
    pictures = {path.name for path in (tmp_path / "out" / "report").iterdir()}
    assert pictures == {"index.html", "metrics.json", "clips.png", "by_frame.png", "confusion.png", "curves.png"}
    stream = rk.runtime.load(tmp_path / "out" / "bundle").stream()
    assert stream.push(np.zeros((1, 1, 24, 24, 3), np.float32)).shape == (1, 1, 4)


@pytest.mark.study  # test_faults.py has one such run in the quick tests
def test_training_continues_where_it_was_interrupted(tmp_path):
    whole = trained(frames, Settings(**SMALL, schedule="constant", epochs=2, out=tmp_path / "whole"))
    first = trained(frames, Settings(**SMALL, schedule="constant", epochs=1, out=tmp_path / "parts"))
    again = trained(frames, Settings(**SMALL, schedule="constant", epochs=2, out=tmp_path / "parts", resume=True))
    assert same(again, whole) and not same(again, first)


def test_a_clip_shorter_than_a_window_and_a_single_label(tmp_path):
    for number in range(4):
        write_frames(tmp_path / "up" / f"a{number}", range(number, number + 8))
    settings = {"data": tmp_path, "out": tmp_path / "out", "size": 8}
    with pytest.raises(SettingsError, match=r"'up/a0' has 8 frames, and a window has 24. .*--window 8"):
        frames.run(Settings(**settings))
    with pytest.raises(SettingsError, match=r"All frames of .* have the label 'up', so there is nothing to learn"):
        frames.run(Settings(**settings, window=4))
    assert not (tmp_path / "out").exists()


def test_wrong_data_costs_no_earlier_result(smoke_run, tmp_path):
    """The run before, in the same folder, is whole after a run with --overwrite whose data cannot be read."""
    out = shutil.copytree(smoke_run("frames").folder, tmp_path / "out")
    before = best_weights(out)
    write_gif(tmp_path / "clips" / "up" / "a.gif", [1, 2])
    (tmp_path / "clips" / "up" / "b.gif").write_bytes(b"no image")
    with pytest.raises(TextError, match="b.gif' cannot be read as an image"):
        frames.run(Settings(**SMALL, data=tmp_path / "clips", out=out, overwrite=True))
    assert same(best_weights(out), before)


def test_labels_of_other_clips_do_not_fit_a_model_to_continue_from(smoke_run, tmp_path):
    for label in ("up", "left"):
        for number in range(6):
            write_frames(tmp_path / "clips" / label / str(number), range(7 * number, 7 * number + 6))
    changes = {**SMALL, "valid_count": 2, "test_count": 2, "size": 24}
    with pytest.raises(
        SettingsError, match="'up' of .* is none of the labels of the run to continue from: still, left"
    ):
        older = smoke_run("frames").folder
        frames.run(Settings(**changes, data=tmp_path / "clips", out=tmp_path / "new", continue_from=older))


def test_a_bundle_that_differs_from_keras_is_refused():
    """The sabotage: one probability of a thousand is off by a little."""
    expected = [np.full((10, 4), 0.25)]
    assert check_streamed(expected, [expected[0] + 1e-7]) == pytest.approx(1e-7)
    spoiled = [expected[0].copy()]
    spoiled[0][3, 2] += 2e-5
    for wrong in (spoiled, [np.full((10, 4), np.nan)]):
        with pytest.raises(RunError, match="The bundle does not give what Keras gives"):
            check_streamed(expected, wrong)


def test_a_model_that_sees_the_future_does_not_stream():
    """The sabotage: the exported model looks at the next frame."""
    import keras

    x = keras.Input((None, 3), name="frames")
    model = keras.Model(x, keras.layers.Conv1D(2, 3, padding="same")(x))
    with pytest.raises(ExportError, match="sees later steps"):
        rk.export_bundle(model, "unused", modes=["stream"])

"""Pictures that can be read, and units that tell something."""

import numpy as np

from keras_rnnkit.runs.pictures import contact_sheet, lit
from keras_rnnkit.runs.reporting import beginning, ink_on, plot_curves, telling_units


def test_text_is_light_on_dark_colours():
    from matplotlib import colormaps

    colours = colormaps["coolwarm"](np.array([0.0, 0.5, 1.0]))
    assert [ink_on(colour) for colour in colours] == ["white", "black", "white"]


def test_saturated_units_are_not_chosen():
    saturated = np.full(100, 0.99)
    saturated[50:] = -0.99  # large, and it changes once in the whole text
    telling = np.sin(np.arange(100) / 3)
    assert telling_units(np.stack([saturated, telling, np.full(100, 0.9)], 1), 1) == [1]


def test_attention_is_seen_on_a_black_image():
    shown = lit(np.zeros((8, 8, 3)), np.array([[0.9, 0.1], [0.0, 0.0]]))
    assert shown[0, 0, 0] > 0.35 and shown[7, 7, 0] < 0.15
    assert lit(np.full((7, 9, 3), 255), np.ones((2, 2))).shape == (7, 9, 3)  # no multiple of the grid


def test_words_are_read_one_by_one():
    words = np.array([[1, 2, 3, 0], [1, 2, 0, 0]] * 600)
    assert beginning(words).shape[0] == 480  # 1,200 letters
    assert beginning(np.arange(5000)).shape == (1200,)


def test_pictures_are_written(tmp_path):
    row = {"loss": 2.0, "val_loss": 1000.0, "gradient_norm": 0.1, "clip_ratio": 0.0}
    plot_curves([row], tmp_path / "curves.png")
    images = np.zeros((2, 8, 8, 3), np.uint8)
    contact_sheet(images, ["a", "b"], [["a"], ["c"]], tmp_path / "sheet.png", names=["x.png", "y.png"])
    assert (tmp_path / "curves.png").stat().st_size and (tmp_path / "sheet.png").stat().st_size

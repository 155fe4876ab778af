"""`rnnkit demo`, in small."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import keras_rnnkit as rk
from keras_rnnkit.cli import app
from keras_rnnkit.demo import pipeline
from keras_rnnkit.demo.settings import Settings, SettingsError

SMALL = {"units": 8, "steps": 3, "length": 5, "held_out": 0.005}


@pytest.mark.parametrize("cell", ["gru", *(pytest.param(c, marks=pytest.mark.study) for c in ("lstm", "vanilla"))])
def test_from_text_to_text(cell, tmp_path):
    result = pipeline.run(Settings(cell=cell, layers=2, start="def ", out=tmp_path, **SMALL))
    assert 0 < result.bits < 7
    assert result.text.startswith("def ") and len(result.text) == 9
    assert rk.load_model(result.path).get_layer("stack").layers[1].units == 8
    assert (
        "".join(json.loads((tmp_path / "vocabulary.json").read_text()))
        == pipeline.Alphabet.of(pipeline.python_topics()).characters
    )
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["model.keras", "vocabulary.json"]


def test_the_same_seed_writes_the_same(tmp_path):
    settings = Settings(out=tmp_path, **SMALL)
    assert pipeline.run(settings) == pipeline.run(settings)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_steps_with_carried_states_equal_the_whole_sequence(cell, rng):
    model = pipeline.build(Settings(cell=cell, units=8, layers=2), size=11)
    stepper = pipeline.with_states(model)
    codes = rng.integers(0, 11, (1, 6)).astype("int32")
    states = [np.zeros((1, 8), "float32") for _ in stepper.inputs[1:]]
    for t in range(6):
        logits, *states = stepper.predict_on_batch([codes[:, t : t + 1], *states])
    np.testing.assert_allclose(logits, model(codes)[:, -1], atol=1e-6)


def test_low_temperature_takes_the_likeliest():
    random = np.random.default_rng(0)
    logits = np.array([0.0, 2.0, 1.0])
    assert {pipeline.drawn(logits, 1e-3, random) for _ in range(20)} == {1}
    assert {pipeline.drawn(logits, 10.0, random) for _ in range(100)} == {0, 1, 2}


def test_the_time_limit_ends_training(tmp_path):
    result = CliRunner().invoke(
        app, ["demo", "--steps", "100000", "--seconds", "0.1", "--units", "4", "--length", "2", "--out", str(tmp_path)]
    )
    assert result.exit_code == 0, result.output
    assert "bits per character" in result.output


def test_unknown_characters_are_named():
    result = CliRunner().invoke(app, ["demo", "--start", "Grüße 日"])
    assert result.exit_code == 2
    assert "characters the model never sees: 'ü', '日'" in result.output


@pytest.mark.parametrize("wrong", [{"units": 0}, {"steps": -1}, {"temperature": 0.0}, {"seconds": 0.0}, {"start": ""}])
def test_settings_that_cannot_run(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        Settings(**wrong)


def test_batches_pair_each_character_with_the_next():
    settings = Settings(window=7, batch=4)
    x, y = next(iter(pipeline.batches(np.arange(50, dtype="int32"), settings)))
    assert x.shape == y.shape == (4, 7)
    np.testing.assert_array_equal(y, x + 1)


def test_the_text_has_each_paragraph_once():
    paragraphs = pipeline.python_topics().split("\n\n")
    assert len(paragraphs) == len(set(paragraphs)) > 1000

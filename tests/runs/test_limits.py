"""Settings are checked before any data is read, from Python too."""

import math

import pytest

from keras_rnnkit.settings import SettingsError
from pipelines import captioning, language_model, translation, words


@pytest.mark.parametrize("pipeline", [captioning, language_model, translation, words])
@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("learning_rate", -1.0, "learning_rate must be above 0. Received: learning_rate=-1.0"),
        ("learning_rate", math.inf, "learning_rate must be above 0"),
        ("clip", -1.0, "clip must be 0 or more"),
        ("clip", math.nan, "clip must be 0 or more"),
        ("warmup", -5, "warmup must be 0 or more"),
        ("patience", -1, "patience must be 0 or more"),
        ("average", 1.0, "average must be a fraction from 0 to below 1"),
        ("epochs", 0, "epochs must be 1 or more"),
        ("dropout", 1.0, "dropout must be a fraction"),
        ("seed", -1, "seed must be 0 or more"),
        ("threads", -1, "threads must be 0 or more"),
        ("schedule", "linear", "schedule='linear'. Expected one of constant, halving, cosine, plateau"),
        ("optimizer", "lion", "optimizer='lion'. Expected one of sgd"),
        ("cell", "elman", "cell='elman'. Expected one of lstm"),
    ],
)
def test_settings_that_make_no_sense(pipeline, name, value, sentence):
    with pytest.raises(SettingsError, match=sentence):
        pipeline.Settings(**{name: value})


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: words.Settings(schedule="plateau", factor=1.0), "factor must be between 0 and 1"),
        (lambda: words.Settings(temperature=0.0), "temperature must be above 0"),
        (lambda: language_model.Settings(temperature=-1.0), "temperature must be above 0"),
        (lambda: language_model.Settings(valid_fraction=0.6, test_fraction=0.4), "together they must be below 1"),
        (lambda: language_model.Settings(checkpoint_every=0), "checkpoint_every must be 1 or more"),
        (lambda: translation.Settings(penalty=-1.0), "penalty must be 0 or more"),
        (lambda: translation.Settings(beam=0), "beam must be 1 or more"),
        (lambda: captioning.Settings(valid_count=0), "valid_count must be 1 or more"),
        (lambda: words.Settings(resume=True, overwrite=True), "--resume continues a run and --overwrite replaces it"),
    ],
)
def test_settings_of_their_own(make, sentence):
    with pytest.raises(SettingsError, match=sentence):
        make()


def test_smoke_sets_what_was_not_chosen():
    settings = translation.Settings(smoke=True, units=12)
    assert (settings.units, settings.count, settings.compares) == (12, 200, False)
    assert language_model.Settings().units == 128


def test_with_a_cosine_the_epochs_are_part_of_the_checkpoint():
    """Another number of epochs would make the learning rate jump."""
    assert words.Settings(schedule="cosine", epochs=7).of_checkpoint["epochs"] == 7
    assert "epochs" not in words.Settings(schedule="constant").of_checkpoint

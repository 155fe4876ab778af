"""Packages that are missing are named before anything is read or trained."""

import pytest

from keras_rnnkit.runs import packages
from keras_rnnkit.settings import SettingsError
from pipelines import captioning, language_model, translation, words


def test_all_missing_packages_are_named_with_their_extras(monkeypatch):
    monkeypatch.setattr(packages, "is_installed", lambda name: name not in ("tf2onnx", "matplotlib"))
    with pytest.raises(SettingsError, match=r"needs tf2onnx and matplotlib, which are not .*rnnkit\[export,plot\]'"):
        packages.check_packages(packages.TRAINING)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        (language_model.Settings(), "onnxruntime"),
        (language_model.Settings(unit="subword"), "tokenizers"),
        (words.Settings(), "matplotlib"),
        (translation.Settings(), "babel"),
        (translation.Settings(data="pairs.tsv"), "tokenizers"),
        (captioning.Settings(), "PIL"),
    ],
)
def test_each_pipeline_knows_its_packages(settings, name):
    needed = [package for names in settings.packages.values() for package in names]
    assert name in needed and all(map(packages.is_installed, needed))


def test_without_the_export_its_packages_are_not_needed():
    assert "export" not in language_model.Settings(export=False).packages
    assert "translate" in translation.Settings(data="pairs.tsv").packages
    assert "babel" not in translation.Settings(data="pairs.tsv").packages["translate"]

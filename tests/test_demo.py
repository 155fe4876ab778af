"""`rnnkit demo`, in small: from a text to a bundle and the text that onnxruntime writes."""

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

import keras_rnnkit as rk
from keras_rnnkit.cli import app
from keras_rnnkit.data.embedded import python_topics
from keras_rnnkit.demo import pipeline
from keras_rnnkit.demo.settings import Settings, SettingsError


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The output of a small run, and its folder."""
    out = tmp_path_factory.mktemp("demo") / "exported" / "demo"
    return CliRunner().invoke(app, ["demo", "--smoke", "--layers", "2", "--start", "def ", "--out", str(out)]), out


def test_it_ends_with_text_from_onnxruntime_that_keras_writes_too(demo):
    done, _ = demo
    assert done.exit_code == 0, done.output
    assert "bits per character" in done.output and "\ndef " in done.output
    assert "by onnxruntime, 10 characters; Keras writes the same text" in done.output


def test_it_leaves_a_bundle_that_needs_no_tensorflow(demo):
    _, out = demo
    bundle = rk.runtime.load(out)
    assert set(bundle.manifest["graphs"]) == {"sequence", "stream", "generate"}
    assert bundle.manifest["saved_model"] and bundle.vocabulary == rk.text.Vocabulary.of(python_topics())
    assert bundle.text(bundle.generate("def ", 5, seed=1).tokens[0])


def test_it_shows_each_file_and_the_next_commands(demo):
    done, out = demo
    for name in ("sequence.onnx", "step.onnx", "generate.onnx", "step.int8.onnx", "Keras, for comparison"):
        assert name in done.output
    assert f"rnnkit serve {out.parent}" in done.output
    assert f"rnnkit inspect {out}" in done.output
    assert "rnnkit train language_model --data" in done.output


def test_another_text_from_onnxruntime_is_told(capsys):
    settings, vocabulary = Settings(smoke=True, start="a"), rk.text.Vocabulary("abcde")
    model = pipeline.build(settings, len(vocabulary))
    tokens = pipeline.keras_tokens(pipeline.with_states(model), vocabulary.encode("a"), settings)
    tokens[2] = (tokens[2] + 1) % len(vocabulary)

    class OtherBundle:
        def generate(self, *_, **__):
            return rk.decoding.Generated(tokens[None], np.zeros(1), np.array([len(tokens)]))

    _, same = pipeline.write_text(model, OtherBundle(), vocabulary, settings, Console(width=200))
    assert same == 2
    assert "Keras writes the same text for 2 characters, then another" in capsys.readouterr().out


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_steps_with_carried_states_equal_the_whole_sequence(cell, rng):
    model = pipeline.build(Settings(cell=cell, units=8, layers=2), size=11)
    stepper = pipeline.with_states(model)
    codes = rng.integers(0, 11, (1, 6)).astype("int32")
    states = [np.zeros((1, 8), "float32") for _ in stepper.inputs[1:]]
    for t in range(6):
        logits, *states = stepper.predict_on_batch([codes[:, t : t + 1], *states])
    np.testing.assert_allclose(logits, model(codes)[:, -1], atol=1e-6)


def test_unknown_characters_are_named():
    result = CliRunner().invoke(app, ["demo", "--start", "Grüße 日"])
    assert result.exit_code == 2
    assert "in which 'ü', '日' do not occur" in result.output


@pytest.mark.parametrize("wrong", [{"units": 0}, {"steps": -1}, {"temperature": 0.0}, {"seconds": 0.0}, {"start": ""}])
def test_settings_that_cannot_run(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        Settings(**wrong)


def test_the_text_has_each_paragraph_once():
    paragraphs = python_topics().split("\n\n")
    assert len(paragraphs) == len(set(paragraphs)) > 1000

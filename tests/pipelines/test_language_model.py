"""The language-model pipeline from text to a served bundle, small."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import keras_rnnkit as rk
from keras_rnnkit.settings import SettingsError
from keras_rnnkit.training import CheckpointError
from pipelines import language_model
from pipelines.language_model import Settings
from tests.eager import eagerly
from tests.forking import python

ROOT = Path(__file__).parents[2]
TEXT = "the cat sat on the mat and the dog sat on the log .\n" * 60


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("texts") / "text.txt"
    path.write_text(TEXT)
    return path


def small(text, out, **changes):
    arguments = {
        "layers": 1,
        "units": 8,
        "embedding": 4,
        "batch": 4,
        "steps": 10,
        "epochs": 2,
        "learning_rate": 0.02,
        "length": 20,
    }
    return Settings(data=text, out=out, valid_fraction=0.1, **{**arguments, **changes})


def test_it_learns_and_writes_all_that_serving_takes(smoke_run):
    out, _, metrics = smoke_run("language_model")
    assert metrics["test_perplexity"] < metrics["ngram_perplexity"][1]
    bundle = rk.runtime.load(out / "bundle")
    vocabulary = rk.text.Vocabulary.load(out / "bundle" / "vocabulary.json")
    written = bundle.generate(vocabulary.encode("the cat"), steps=10, seed=1)
    assert len(vocabulary.decode(written.tokens[0])) == 10


def test_perplexity_is_the_same_in_keras_and_in_both_graphs(smoke_run):
    keras, sequence, stream = smoke_run("language_model").metrics["exported_perplexity"].values()
    np.testing.assert_allclose([sequence, stream], keras, rtol=1e-3)


def test_the_report_is_there(smoke_run):
    out = smoke_run("language_model").folder
    names = {"index.html", "metrics.json", "curves.png", "rank_frequency.png", "units.png"}
    assert {path.name for path in (out / "report").iterdir()} == names
    known = json.loads((out / "report" / "metrics.json").read_text())
    assert len(known["history"]) == 1 and {"gradient_norm", "clip_ratio", "val_loss"} <= set(known["history"][0])


@pytest.mark.study
def test_it_goes_on_where_it_stopped(text, tmp_path):
    whole = language_model.run(small(text, tmp_path / "whole", export=False))
    language_model.run(small(text, tmp_path / "parts", epochs=1, export=False))
    again = language_model.run(small(text, tmp_path / "parts", export=False, resume=True))
    assert again["test_nats"] == whole["test_nats"]
    with pytest.raises(CheckpointError, match="of other settings: units was 8 and is 9"):
        language_model.run(small(text, tmp_path / "parts", units=9, resume=True, export=False))


@pytest.mark.parametrize(
    "changes",
    [
        {
            "unit": "word",
            "cell": "gru",
            "tied": True,
            "embedding": 0,
            "optimizer": "sgd",
            "learning_rate": 0.5,
            "schedule": "halving",
            "init": 0.1,
        },
        pytest.param(
            {
                "cell": "layernorm_lstm",
                "order": "random",
                "embedding": 0,
                "dropout": 0.2,
                "schedule": "cosine",
                "warmup": 3,
            },
            marks=pytest.mark.study,
        ),
        pytest.param(
            {"mixed": True, "cell": "peephole_lstm", "zoneout": 0.1, "schedule": "plateau"}, marks=pytest.mark.study
        ),
        pytest.param(
            {
                "unit": "subword",
                "max_tokens": 270,
                "cell": "vanilla",
                "varied": True,
                "patience": 1,
                "optimizer": "rmsprop",
            },
            marks=pytest.mark.study,
        ),
    ],
)
@eagerly()
def test_other_settings(text, tmp_path, changes):
    metrics = language_model.run(small(text, tmp_path, epochs=1, **changes))
    keras, sequence, stream = metrics["exported_perplexity"].values()
    np.testing.assert_allclose([sequence, stream], keras, rtol=1e-3)


@pytest.mark.parametrize("length", [101, 99 * 4 + 1, 100 * 4 + 1, 499 * 4 + 4])
def test_nearly_all_of_the_validation_text_is_used(length, text, tmp_path):
    """Four rows in windows of at most 50 steps; 99 tokens in a row were one window, with half of the text left out."""
    settings = small(text, tmp_path, steps=50)
    windows = language_model.validation_windows(np.arange(length), settings)
    used = sum(x.size for x, _ in windows.batches())
    assert windows.steps <= 50 and used >= 0.96 * (length - 1)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"cell": "elman"}, "Received: cell='elman'. Expected one of lstm, gru"),
        ({"tied": True, "embedding": 3}, "embedding=3, units=8. Make them equal"),
        ({"varied": True, "order": "random"}, "--varied needs --order sequential"),
        ({"forget_bias": 0.5}, "forget_bias must be 0 or 1"),
    ],
)
def test_settings_that_make_no_sense(text, tmp_path, changes, sentence):
    with pytest.raises(SettingsError, match=sentence):
        small(text, tmp_path, **changes)


def command(*arguments):
    path = ROOT / "pipelines" / "language_model.py"
    return python(path, *arguments, with_keras=True)


def test_help_loads_no_framework():
    code = "import sys, pipelines.language_model; print({'keras', 'tensorflow'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT).stdout == "set()\n"
    assert "--forget-bias" in command("--help").stdout


def test_a_text_that_is_too_short_is_a_sentence(tmp_path):
    (tmp_path / "short.txt").write_text("to be or not to be")
    done = command("--data", tmp_path / "short.txt", "--out", tmp_path / "out")
    assert done.returncode == 2 and "50 rows of 50 steps need 2501 tokens. Received: a text of 17" in done.stderr
    assert "Traceback" not in done.stderr

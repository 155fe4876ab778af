"""The pipeline that forecasts series, small."""

import json

import numpy as np
import pytest

import keras_rnnkit as rk
from keras_rnnkit.runs import forecast_judging
from keras_rnnkit.runs.forecast_data import trend_warning
from keras_rnnkit.runs.forecast_parts import Split
from keras_rnnkit.settings import SettingsError
from keras_rnnkit.text import TextError
from pipelines import series
from pipelines.series import Settings
from tests.eager import eagerly
from tests.pipelines.interrupted import best_weights, same, trained

SMALL = {"units": 4, "window": 8, "horizon": 4, "epochs": 1, "valid_fraction": 0.2}


@pytest.fixture(scope="module")
def shops(tmp_path_factory):
    """A file with two series of very different sizes below one another, with a covariate."""
    rng = np.random.default_rng(0)
    lines = ["day,shop,sold,rain"]
    for day in range(60):
        rain = rng.random()
        lines += [
            f"{day},{shop},{size * (10 + np.sin(day) + rain):.6g},{rain:.3f}" for shop, size in (("A", 1), ("B", 1e4))
        ]
    path = tmp_path_factory.mktemp("shops") / "shops.csv"
    path.write_text("\n".join(lines))
    return path


@eagerly()
def test_series_of_a_file_with_covariates(shops, tmp_path):
    settings = Settings(
        data=shops, target="sold", time="day", series="shop", covariates="rain", season=7, out=tmp_path,
        output="quantiles", interval=0.8, difference=True, layers=2, dropout=0.1, cell="lstm", **SMALL,
    )  # fmt: skip
    metrics = series.run(settings)
    bundle = rk.runtime.load(tmp_path / "bundle_ahead")
    x = np.array([[[10.5, 0.5], [11.0, 0.2]], [[1.05e5, 0.5], [1.1e5, 0.2]]], np.float32)
    found = bundle.predict({"x": x, "series": np.array([0, 1], np.int32)})
    assert set(found) == {"forecast", "lower_80", "upper_80"} and found["forecast"].shape == (2, 2, 4)
    assert (found["lower_80"] <= found["forecast"]).all() and (found["forecast"] <= found["upper_80"]).all()
    assert 1e3 < found["forecast"][1, -1, 0] / found["forecast"][0, -1, 0] < 1e5  # each series in its own size
    assert metrics["forecasts judged"] == 2 * 12
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["data"]["description"].startswith(
        "2 series, 72 values to train on, 24 for validation, 24 for the test"
    )


def test_push_todays_value_get_tomorrows(smoke_run):
    """The bundle as the server reads it: one input, a forecast and the bounds of its interval, of the same shape."""
    folder, s, metrics = smoke_run("series")
    bundle = rk.runtime.load(folder / "bundle")
    split = Split.of(rk.data.noisy_sine(), s.valid_fraction, s.test_fraction, s.window, s.horizon)
    stream, forecasts = bundle.stream(), []
    for value in split.series.values[:-1]:
        forecasts.append(stream.push([[[value]]]))
    assert set(forecasts[0]) == {"forecast", "lower_90", "upper_90"}
    assert all(output.shape == (1, 1, 1) for output in forecasts[0].values())
    truth, found = split.series.values[split.test_begin :], np.array([f["forecast"].item() for f in forecasts])
    error = np.mean((truth - found[split.test_begin - 1 :]) ** 2)
    assert error == pytest.approx(metrics["one step ahead"]["RNN"]["squared error"], rel=1e-4)
    names = {path.name for path in (folder / "report").iterdir()}
    pictures = {"next.png", "ahead.png", "growth.png", "coverage.png", "series.png", "curves.png"}
    assert names == {"index.html", "metrics.json", *pictures}


@pytest.mark.study  # test_sentiment.py has such a judgement in the quick tests
def test_a_run_is_judged_as_it_was(smoke_run, tmp_path):
    folder, _, metrics = smoke_run("series")
    again = series.run(Settings(evaluate=folder, out=tmp_path / "again"))
    assert again["one step ahead"] == metrics["one step ahead"]


@pytest.mark.study  # test_faults.py has one such run in the quick tests
def test_it_goes_on_where_it_stopped(shops, tmp_path):
    known = {"data": shops, "target": "sold", "series": "shop", "compare": False, **SMALL}
    whole = trained(series, Settings(**{**known, "epochs": 2}, out=tmp_path / "whole"))
    first = trained(series, Settings(**known, out=tmp_path / "parts"))
    again = trained(series, Settings(**{**known, "epochs": 2}, out=tmp_path / "parts", resume=True))
    assert same(again, whole) and not same(again, first)
    assert same(again, best_weights(tmp_path / "parts"))


def test_wrong_data_leave_an_earlier_run_as_it_is(shops, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "run.json").write_text('{"format": 1, "pipeline": "series", "begun": "today"}')
    with pytest.raises(TextError, match="has no column 'bought'"):
        series.run(Settings(data=shops, target="bought", out=tmp_path / "out", overwrite=True))
    with pytest.raises(SettingsError, match="has 120 values: 78 to train on"):
        series.run(Settings(data=shops, target="sold", window=90, out=tmp_path / "out", overwrite=True))
    assert json.loads((tmp_path / "out" / "run.json").read_text())["begun"] == "today"


def test_a_trend_is_told():
    climbing = rk.data.Series("climbing", np.arange(100.0))
    assert "--difference lets it read" in trend_warning([Split.of(climbing, 0.2, 0.2, 8, 4)])
    assert trend_warning([Split.of(rk.data.noisy_sine(), 0.1, 0.296, 128, 64)]) is None


def test_a_model_that_is_no_better_than_the_last_value_is_told():
    errors = {forecast_judging.FED_BACK: np.array([2.0]), "last value": np.array([1.0])}
    assert "the model has learned nothing that helps" in forecast_judging.no_better(errors)
    assert forecast_judging.no_better({**errors, "last value": np.array([3.0])}) is None


def test_a_model_that_always_forecasts_the_same_is_told():
    truth = np.arange(10.0)[:, None]

    def note(values):
        forecasts = {forecast_judging.FED_BACK: values}
        return forecast_judging.always_the_same(
            forecast_judging.Forecasts(forecasts, truth, truth, truth, np.ones((10, 1)))
        )

    assert note(truth) is None
    assert "The 10 forecasts of the next value are all near 4" in note(np.full((10, 1), 4.0))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"data": "x.csv"}, "--data needs --target"),
        ({"target": "y"}, "--target names a column of a file. Give the file with --data"),
        ({"valid_fraction": 0.5, "test_fraction": 0.5}, "must leave something to train on"),
        ({"interval": 1.0}, "interval must be between 0 and 1"),
        ({"interval": 0.999}, "interval must be from 0.01 to 0.99"),
        ({"source": "moon"}, "Received: source='moon'. Expected one of sine, sunspots, co2"),
        ({"horizon": 0}, "horizon must be 1 or more"),
    ],
)
def test_settings_that_make_no_sense(changes, sentence):
    with pytest.raises(SettingsError, match=sentence):
        Settings(**changes)

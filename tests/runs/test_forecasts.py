"""Parts, scaling, scores and backtests of forecasts."""

import keras
import numpy as np
import pytest

import keras_rnnkit as rk
from keras_rnnkit.data import Series
from keras_rnnkit.runs import backtest
from keras_rnnkit.runs.forecast_parts import Scaling, Split, leaves_its_range
from keras_rnnkit.runs.forecast_scores import (
    coverage_by_step,
    errors_by_step,
    mase,
    naive_error,
    seasonal_naive,
    stretch_by_step,
    truth_of,
)
from keras_rnnkit.runs.forecaster import ChangeCell
from keras_rnnkit.settings import SettingsError


def split_of(values, valid=0.2, test=0.2, **arguments):
    return Split.of(Series("s", np.asarray(values, float), **arguments), valid, test, window=3, horizon=2)


def test_the_parts_follow_each_other_and_origins_begin_before_the_test():
    split = split_of(np.arange(20))
    assert (split.valid_begin, split.test_begin) == (12, 16) and split.origins.tolist() == [15, 16, 17, 18]


def test_scaling_does_not_see_what_comes_after_the_training_part():
    """The sabotage: whatever is done to validation and test, the scaling stays the same."""
    values, covariates = np.random.default_rng(0).normal(size=(2, 20))
    other = np.where(np.arange(20) < 12, values, 1e6)
    first, second = (
        Scaling.of([split_of(v, covariates=c[:, None])]) for v, c in ((values, covariates), (other, other))
    )
    np.testing.assert_array_equal(first.centres[:, 0], second.centres[:, 0])
    np.testing.assert_array_equal(first.scales[:, 0], second.scales[:, 0])
    assert first.change == second.change
    scaled = first.scaled(0, np.stack([values, covariates], 1))[:12]
    np.testing.assert_allclose([scaled.mean(0), scaled.std(0)], [[0, 0], [1, 1]], atol=1e-6)


def test_a_constant_series_is_refused_and_a_constant_covariate_is_not():
    with pytest.raises(SettingsError, match="'s' has the same value 7 throughout its first 12 steps"):
        Scaling.of([split_of([7.0] * 12 + [1.0] * 8)])
    scaling = Scaling.of([split_of(np.arange(20), covariates=np.ones((20, 1)))])
    assert scaling.scaled(0, np.ones((1, 2)))[0, 1] == 0


def test_a_series_that_is_too_short():
    with pytest.raises(SettingsError, match="has 5 values: 3 to train on, 1 for validation and 1 for the test"):
        split_of(np.arange(5))


def test_a_trend_leaves_its_range_and_a_wave_does_not():
    assert leaves_its_range(split_of(np.arange(20))) > 0.5
    assert leaves_its_range(split_of(np.sin(np.arange(20)))) == 0


def test_mase_of_the_naive_forecast_is_1():
    values = np.array([1.0, 4.0, 2.0, 7.0, 3.0])
    origins = np.arange(4)
    truth = truth_of(values, origins, 1)
    assert mase(values[origins, None], truth, naive_error(values)) == pytest.approx(1)
    observed = np.array([True, True, False, True, True])
    assert naive_error(values, observed=observed) == pytest.approx((3 + 4) / 2)
    assert np.isnan(naive_error(values, season=5))


def test_the_seasonal_forecast_uses_nothing_after_the_origin():
    values = np.arange(10.0)
    found = seasonal_naive(values, np.array([1, 5, 9]), 7, season=3)
    assert np.isnan(found[0, 0]) and (found[1:] <= np.array([[5], [9]])).all()
    assert found[1].tolist() == [3, 4, 5, 3, 4, 5, 3]


def test_missing_truth_counts_in_no_score():
    truth = np.array([[1.0, np.nan], [np.nan, np.nan]])
    assert errors_by_step(np.zeros((2, 2)), truth)[0] == 1 and np.isnan(errors_by_step(np.zeros((2, 2)), truth)[1])
    assert coverage_by_step(np.zeros((2, 2)), np.full((2, 2), 2.0), truth)[0] == 1


def test_a_stretched_interval_covers_new_values():
    """Intervals that are too narrow by a factor of two, made as wide as they must be."""
    rng = np.random.default_rng(0)
    old, new = rng.normal(size=(2, 4000, 1))
    narrow = np.array([-0.82, 0.0, 0.82])
    factor = stretch_by_step(np.broadcast_to(narrow, (4000, 1, 3)), old, 0.9)
    assert factor[0] == pytest.approx(2, abs=0.1)
    assert coverage_by_step(narrow[0] * factor, narrow[2] * factor, new)[0] == pytest.approx(0.9, abs=0.015)
    assert stretch_by_step(np.zeros((3, 1, 3)), np.full((3, 1), np.nan), 0.9).tolist() == [1]


def test_changes_are_0_at_the_first_step_and_the_same_in_chunks(tmp_path):
    inputs = keras.Input((None, 2), name="x")
    model = keras.Model(inputs, rk.Recurrent(ChangeCell(2), return_sequences=True)(inputs))
    x = np.random.default_rng(0).normal(size=(3, 7, 2)).astype(np.float32) + 5
    expected = np.diff(x, axis=1, prepend=x[:, :1])
    np.testing.assert_allclose(model(x), expected, atol=1e-6)
    rk.export_bundle(model, tmp_path / "b", saved_model=False)
    stream = rk.runtime.load(tmp_path / "b").stream(3)
    chunks = [stream.push(x[:, a:b]) for a, b in ((0, 1), (1, 4), (4, 7))]
    np.testing.assert_allclose(np.concatenate(chunks, 1), expected, atol=1e-6)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A model of the running mean, which shows whether a stream has read all that came before."""

    @keras.saving.register_keras_serializable()
    class SumCell(rk.cells.Cell):
        """h_t = h_{t-1} / 2 + x_t"""

        def build(self, input_shape):
            self.built = True

        def project(self, ops, w, x):
            return x

        def recur(self, ops, w, h):
            return h

        def gates(self, ops, w, z, r, state):
            h = 0.5 * r + z
            return h, [h]

    x = keras.Input((None, 1), name="x")
    y = rk.Recurrent(SumCell(1), return_sequences=True)(x)
    model = keras.Model(x, {"forecast": y, "lower_90": y - 1.0, "upper_90": y + 1.0})
    folder = tmp_path_factory.mktemp("sum")
    rk.export_bundle(model, folder / "b", modes=["sequence", "stream"], saved_model=False)
    return rk.runtime.load(folder / "b")


def expected_of(values, origin, horizon):
    h = 0.0
    for value in values[: origin + 1]:
        h = h / 2 + value
    found = [h]
    for _ in range(horizon - 1):
        found.append(found[-1] / 2 + found[-1])
    return found


@pytest.mark.parametrize("chunk", [3, 1000])
def test_a_backtest_reads_all_that_came_before_and_nothing_after(bundle, chunk, monkeypatch):
    monkeypatch.setattr(backtest, "CHUNK", chunk)
    values = np.random.default_rng(0).normal(size=20)
    split = split_of(values)
    expected = np.array([expected_of(values, origin, 3) for origin in split.origins])
    outputs = backtest.streamed(bundle, 0, split)
    np.testing.assert_allclose(outputs["forecast"][:, 0], expected[:, 0], rtol=1e-5)
    np.testing.assert_allclose(backtest.fed_back(bundle, 0, split, 3), expected, rtol=1e-5)


def test_origins_are_thinned_where_there_are_many(bundle, monkeypatch):
    monkeypatch.setattr(backtest, "MOST_ORIGINS", 2)
    values = np.random.default_rng(0).normal(size=20)
    found = backtest.fed_back(bundle, 0, split_of(values), 2)
    assert np.isfinite(found[:, 0]).tolist() == [True, False, False, True]


def test_a_small_network_is_fed_back():
    windows = np.array([[1.0, 2.0, 4.0]], np.float32)
    found = backtest.fed_back_windows(lambda x: x[:, -1:] - x[:, :1], windows, 3, difference=False)
    assert found.tolist() == [[3, 1, -3]]  # 4 - 1, then 3 - 2, then 1 - 4
    found = backtest.fed_back_windows(lambda x: -x[:, :1], windows, 2, difference=True)
    assert found.tolist() == [[7, 12]]  # 4 + 3, then 7 + (7 - 2)

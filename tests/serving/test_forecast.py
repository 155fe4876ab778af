"""Forecasts: the model fed its own output, and intervals that widen with the steps."""

import numpy as np
import pytest

from keras_rnnkit.serving.models.intervals import Futures, series_outputs
from tests.serving.conftest import running

BOUND = 1.6449
"""Half the width of an interval of 90% of N(0, 1)."""


@pytest.fixture(scope="module")
def walks(tmp_path_factory):
    """Two random walks, y = x: one with steps of N(0, 1), one whose upper half is three times as wide."""
    import keras

    import keras_rnnkit as rk

    folder = tmp_path_factory.mktemp("walks")
    for name, up in (("walk", 1.0), ("skewed", 3.0)):
        x = keras.Input((None, 1), name="x")
        joined = keras.layers.Concatenate()([x, rk.GRU(2, return_sequences=True)(x)])
        offsets = {"forecast": 0.0, "lower_90": -BOUND, "upper_90": up * BOUND}
        model = keras.Model(x, {key: keras.layers.Dense(1, name=key)(joined) for key in offsets})
        for key, offset in offsets.items():
            model.get_layer(key).set_weights([np.array([[1.0], [0.0], [0.0]]), np.array([offset])])
        rk.export_bundle(model, folder / name, modes=["stream"], saved_model=False, verify=False)
    keras.backend.clear_session()
    return folder


@pytest.fixture(scope="module")
def forecasts(walks, settings):
    """forecast(model, steps, ...): the answer of a server with both."""
    from dataclasses import replace

    import httpx

    with running(replace(settings, folder=walks)) as (address, _), httpx.Client(base_url=f"http://{address}") as client:

        def forecast(model, steps, **more):
            asked = {"series": [0.0, 2.0, 5.0], "steps": steps, **more}
            return client.post(f"/v2/models/{model}/forecast", json=asked).json()

        forecast.models = client.get("/v2/models").json()["models"]
        yield forecast


def test_the_interval_of_the_next_step_is_the_models_own(forecasts):
    answer = forecasts("skewed", 1)
    assert answer["forecast"] == [5.0] and answer["interval"]["level"] == 0.9
    assert answer["interval"]["lower"] == pytest.approx([5 - BOUND])
    assert answer["interval"]["upper"] == pytest.approx([5 + 3 * BOUND])


def test_intervals_widen_as_those_of_a_random_walk(forecasts):
    """After k steps N(0, k). Bounds that are fed the forecast alone would keep the width of the first step."""
    answer = forecasts("walk", 25)
    assert answer["forecast"] == [5.0] * 25
    steps = np.arange(1, 26)
    half = (np.array(answer["interval"]["upper"]) - np.array(answer["interval"]["lower"])) / 2
    np.testing.assert_allclose(half, BOUND * np.sqrt(steps), rtol=0.25)
    assert abs(np.mean(half / np.sqrt(steps)) / BOUND - 1) < 0.1


def test_the_wider_half_of_an_interval_stays_the_wider_one(forecasts):
    interval = forecasts("skewed", 10)["interval"]
    above, below = np.array(interval["upper"]) - 5, 5 - np.array(interval["lower"])
    assert (above > 2 * below).all() and (np.diff(above) > 0).all()


def test_a_seed_gives_the_same_interval_again(forecasts):
    first, second, other = (forecasts("walk", 5, seed=seed)["interval"] for seed in (1, 1, 2))
    assert first == second != other
    assert "seed must be a whole number" in forecasts("walk", 5, seed="x")["error"]


def test_the_page_is_told_which_models_have_intervals(forecasts):
    assert {model["name"]: (model["kind"], model["interval"]) for model in forecasts.models} == {
        "walk": ("series", 0.9),
        "skewed": ("series", 0.9),
    }


def test_a_model_without_bounds_has_no_interval(http):
    series = np.ones((4, 3)).tolist()
    assert set(http.post("/v2/models/series/forecast", json={"series": series, "steps": 2}).json()) == {"forecast"}


@pytest.mark.parametrize(
    "names",
    [
        ["y", "lower_90", "upper_80"],  # of two intervals
        ["y", "lower_90"],
        ["y", "z", "lower_90"],
        ["y", "lower_0", "upper_0"],
        ["y", "lower_100", "upper_100"],
        ["y", "lower_90", "upper_90", "z"],
    ],
)
def test_other_names_are_no_interval(names):
    assert series_outputs(names).level is None and series_outputs(names).forecast == "y"


def test_draws_have_the_quantiles_of_the_model():
    drawn = Futures(0.8, seed=0).drawn(np.array([[1.0, 0.0]]), np.array([[0.0, -1.0]]), np.array([[4.0, 1.0]]))
    np.testing.assert_allclose(np.quantile(drawn, [0.1, 0.5, 0.9], axis=0), [[0, -1], [1, 0], [4, 1]], atol=0.06)
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.3  # channels are drawn apart

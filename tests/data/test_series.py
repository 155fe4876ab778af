"""Series of files: several of them, gaps, times, and what cannot be used."""

import numpy as np
import pytest

from keras_rnnkit.data import noisy_sine, read_series, sunspots, weekly_co2
from keras_rnnkit.text import TextError


def read(folder, text, targets=("y",), **arguments):
    (folder / "s.csv").write_text(text)
    return read_series(folder / "s.csv", targets, **arguments)


def test_columns_are_series_and_covariates_stand_beside_them(tmp_path):
    first, second = read(tmp_path, "y,z,c\n1,4,7\n2,5,8\n", ["y", "z"], covariates=["c"])
    assert (first.name, second.name) == ("y", "z")
    assert second.channels.tolist() == [[4, 7], [5, 8]] and first.observed.all()


def test_series_below_one_another(tmp_path):
    text = "shop,day,y\nA,1,10\nB,1,1\nA,2,20\nB,2,2\n"
    found = read(tmp_path, text, series="shop", time="day")
    assert {series.name: series.values.tolist() for series in found} == {"A: y": [10, 20], "B: y": [1, 2]}


def test_gaps_are_filled_when_asked(tmp_path):
    [series] = read(tmp_path, "y,c\n,1\n1,1\nNaN,\n3,3\nnull,4\n", covariates=["c"], gaps="interpolate")
    assert series.values.tolist() == [1, 2, 3] and series.observed.tolist() == [True, False, True]
    assert series.covariates[:, 0].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    "days", [["2024-01-31", "2024-02-29", "2024-03-31"], ["2023-06-01", "2024-06-01", "2025-06-01"]]
)
def test_months_and_years_are_equal_steps(tmp_path, days):
    [series] = read(tmp_path, "t,y\n" + "".join(f"{day},1\n" for day in days), time="t")
    assert len(series) == 3


@pytest.mark.parametrize(
    ("text", "arguments", "sentence"),
    [
        ("y\n1\n\n2\nx\n", {}, "Line 5 of .*, column 'y', must be a number. Received: 'x'"),
        ("y\n1\ninf\n", {}, "Line 3 .* must be a number. Received: 'inf'"),
        ("y,c\n1,1\n,2\n", {}, "Line 3 of .*, column 'y', has no number: ''. .*--gaps interpolate"),
        ("y,c\n1,1\n2,nan\n", {"covariates": ["c"]}, "Line 3 of .*, column 'c', has no number: 'nan'"),
        ("y,c\n,1\n,2\n", {"gaps": "interpolate"}, "Column 'y' of .* has no number"),
        ("y,c\n1,\n2,\n", {"gaps": "interpolate", "covariates": ["c"]}, "A column of .* has no number"),
        ("t,y\n1,1\n3,1\n2,1\n", {"time": "t"}, "Line 4 .*is '2' and does not come after .*--series"),
        ("t,y\n1,1\n1,1\n", {"time": "t"}, "Line 3 .*does not come after"),
        ("t,y\n1,1\n2,1\n3,1\n5,1\n6,1\n", {"time": "t"}, "Line 5 .*: 1 times before it are missing"),
        ("t,y\n1,1\n2,1\n3,1\n4.5,1\n", {"time": "t"}, "Line 5 .* is 1.5 times the usual step"),
        ("t,y\nmonday,1\n", {"time": "t"}, "must be a number or a date such as 2024-12-31"),
        ("s,y\nA,1\n,2\n", {"series": "s"}, "Line 3 of .*, column 's', is empty"),
        ("y\n1\n", {"covariates": ["c"]}, "has no column 'c'"),
        ("y\n1\n", {"gaps": "zero"}, "gaps must be one of refuse, interpolate"),
    ],
)
def test_what_cannot_be_used_is_a_sentence(tmp_path, text, arguments, sentence):
    with pytest.raises(TextError, match=sentence):
        read(tmp_path, text, **arguments)


def test_built_in_series():
    assert len(noisy_sine()) == 1000 and np.array_equal(noisy_sine(seed=3).values, noisy_sine(seed=3).values)
    assert len(sunspots()) == 309 and sunspots().values.max() == 190.2
    co2 = weekly_co2()
    assert len(co2) == 2284 and (~co2.observed).sum() == 59 and np.isfinite(co2.values).all()

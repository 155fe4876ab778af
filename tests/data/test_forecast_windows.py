"""Windows over series."""

import numpy as np
import pytest

from keras_rnnkit.data import ForecastWindows, contexts_of, targets_of
from keras_rnnkit.text import TextError


def windows_of(lengths=(12, 9), **arguments):
    series = [100.0 * (number + 1) + np.arange(length) for number, length in enumerate(lengths)]
    settings = {"steps": 4, "horizon": 3, "batch": 5} | arguments
    return ForecastWindows([values[:, None] for values in series], series, **settings)


def test_targets_follow_their_inputs_and_never_cross_series():
    windows = windows_of()
    for number in range(len(windows)):
        x, y = windows.batch(number)
        for ahead in range(3):
            follows = np.isfinite(y[..., ahead])
            np.testing.assert_array_equal(y[..., ahead][follows], x[..., 0][follows] + ahead + 1)
        assert np.isfinite(y[:, :-1, 0]).all() and ((x // 100) == (x[:, :1] // 100)).all()


def test_an_epoch_has_every_window_once_and_another_order():
    windows = windows_of()
    starts = []
    for windows.epoch in (0, 1):
        starts.append(np.concatenate([windows.batch(n)[0][:, 0, 0] for n in range(len(windows))]))
    assert len(starts[0]) == 8 + 5 == len(set(starts[0])) and set(starts[0]) == set(starts[1])
    assert starts[0].tolist() != starts[1].tolist()


def test_strides_reach_every_window_in_time():
    windows, seen = windows_of((40,), stride=4, seed=1), set()
    for windows.epoch in range(12):
        found = np.concatenate([windows.batch(n)[0][:, 0, 0] for n in range(len(windows))])
        assert len(found) == 9 and len(set(np.diff(np.sort(found)))) == 1
        seen |= set(found.tolist())
    assert len(seen) == 36


def test_many_windows_are_thinned():
    windows = windows_of((9004,))
    assert windows.stride == 4 and windows.count == 2250


def test_a_dataset_continues_in_the_middle_of_an_epoch():
    windows = windows_of()
    windows.epoch = 2
    whole, rest = list(windows.dataset()), list(windows.dataset(1))
    assert len(rest) == len(whole) - 1
    np.testing.assert_array_equal(rest[0][1], whole[1][1])


def test_missing_values_stay_missing():
    values = np.array([1.0, np.nan, 3.0, 4.0, 5.0])
    np.testing.assert_array_equal(targets_of(values, 2)[:2], [[np.nan, 3.0], [3.0, 4.0]])
    assert contexts_of(np.arange(6.0)[:, None], np.array([3]), 4)[0, :, 0].tolist() == [0, 1, 2, 3]


def test_a_series_that_is_too_short():
    with pytest.raises(TextError, match="Windows of 4 steps need series of 5 values. Received: 4"):
        windows_of((12, 4))

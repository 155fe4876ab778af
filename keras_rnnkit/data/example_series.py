"""Series that need no file: a noisy sine, and two that statsmodels ships."""

from __future__ import annotations

import numpy as np

from keras_rnnkit.data.series import Series, interpolated


def noisy_sine(count: int = 1000, noise: float = 0.2, seed: int = 0) -> Series:
    """sin(t / 100) for t = 1 ... count, with normal noise added to it.

    >>> len(noisy_sine(10)), noisy_sine(10, noise=0.0).values[:2].round(4).tolist()
    (10, [0.01, 0.02])
    """
    steps = np.arange(1, count + 1)
    return Series("sine", np.sin(steps / 100) + np.random.default_rng(seed).normal(0.0, noise, count))


def sunspots() -> Series:
    """The number of sunspots of each year, 1700 to 2008."""
    from statsmodels.datasets import sunspots as source

    return Series("sunspots", source.load_pandas().data["SUNACTIVITY"].to_numpy(float))


def weekly_co2() -> Series:
    """CO2 above Mauna Loa in parts per million, weekly from 1958 to 2001; 59 weeks without a measurement are filled."""
    from statsmodels.datasets import co2 as source

    values = source.load_pandas().data["co2"].to_numpy(float)
    return Series("CO2", interpolated(values), observed=np.isfinite(values))

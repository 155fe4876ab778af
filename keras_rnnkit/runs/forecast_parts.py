"""The parts of a series to train on, to validate and to test, and the scaling that the training part alone decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_rnnkit.data.series import Series
from keras_rnnkit.settings import SettingsError


@dataclass(frozen=True)
class Split:
    """A series in three parts, in the order of time.

    Arguments:
        series: the series.
        valid_begin: the first step of the validation part.
        test_begin: the first step of the test part.
    """

    series: Series
    valid_begin: int
    test_begin: int

    @classmethod
    def of(cls, series: Series, valid: float, test: float, window: int, horizon: int) -> Split:
        """Cut a series.

        Arguments:
            series: the series.
            valid, test: the shares of it that are held out.
            window, horizon: steps of a training window, and the steps that it is to forecast, for the error where the
                series is too short.

        >>> split = Split.of(Series("x", np.arange(10.0)), valid=0.2, test=0.3, window=2, horizon=1)
        >>> split.valid_begin, split.test_begin
        (5, 7)
        """
        count = len(series)
        test_begin = count - round(test * count)
        valid_begin = test_begin - round(valid * count)
        shortest = min(test_begin - valid_begin, count - test_begin)
        if valid_begin < window + 1 or shortest < horizon:
            raise SettingsError(
                f"The series {series.name!r} has {count} values: {valid_begin} to train on, {test_begin - valid_begin} "
                f"for validation and {count - test_begin} for the test. Training needs {window + 1} with a --window of "
                f"{window}, and each other part {horizon} with a --horizon of {horizon}. Make them smaller, or give "
                "more data."
            )
        return cls(series, valid_begin, test_begin)

    @property
    def origins(self) -> np.ndarray:
        """The steps after which the test part is forecast: from the one before it to the last but one."""
        return np.arange(self.test_begin - 1, len(self.series) - 1)

    @property
    def judged(self) -> np.ndarray:
        """The values [T] that forecasts are compared with: NaN where none was measured."""
        return np.where(self.series.observed, self.series.values, np.nan)


@dataclass(frozen=True)
class Scaling:
    """What turns the channels [T, D] of each series into numbers around 0, fitted on its training part.

    Arguments:
        centres: of each series and channel [N, D].
        scales: of each series and channel [N, D].
        change: the size of a step's change of the target, in scaled units, over all series.
    """

    centres: np.ndarray
    scales: np.ndarray
    change: float

    @classmethod
    def of(cls, splits: Sequence[Split]) -> Scaling:
        """The mean and the standard deviation of each channel within the training parts.

        >>> split = Split(Series("x", np.array([0.0, 2.0, 100.0])), valid_begin=2, test_begin=2)
        >>> scaling = Scaling.of([split])
        >>> scaling.centres.tolist(), scaling.scales.tolist()
        ([[1.0]], [[1.0]])
        """
        parts = [split.series.channels[: split.valid_begin] for split in splits]
        centres = np.stack([part.mean(0) for part in parts])
        scales = np.stack([part.std(0) for part in parts])
        for split, scale in zip(splits, scales, strict=True):
            if scale[0] < 1e-12 * max(1.0, float(np.abs(split.series.values).max())):
                raise SettingsError(
                    f"The series {split.series.name!r} has the same value {split.series.values[0]:g} throughout its "
                    f"first {split.valid_begin} steps, which are its training part. There is nothing to learn."
                )
        scales = np.where(scales > 0, scales, 1.0)  # a covariate that is constant stays 0
        changes = [np.diff(part[:, 0]).std() / scale[0] for part, scale in zip(parts, scales, strict=True)]
        return cls(centres, scales, float(max(np.mean(changes), 1e-6)))

    def scaled(self, number: int, channels: np.ndarray) -> np.ndarray:
        """The channels [T, D] of a series, scaled."""
        return ((channels - self.centres[number]) / self.scales[number]).astype(np.float32)


@dataclass(frozen=True)
class ScaledSeries:
    """The series, each cut into its parts, and what scales them."""

    splits: list[Split]
    scaling: Scaling

    def scaled(self, number: int) -> np.ndarray:
        """The channels of a series [T, D], scaled."""
        return self.scaling.scaled(number, self.splits[number].series.channels)

    def scaled_targets(self, number: int) -> np.ndarray:
        """The values of a series [T], scaled; NaN where none was measured."""
        observed = self.splits[number].series.observed
        return np.where(observed, self.scaled(number)[:, 0], np.nan).astype(np.float32)

    def unit(self, number: int) -> float:
        """What errors are measured in: the data's own unit for one series, else a standard deviation of training."""
        return 1.0 if len(self.splits) == 1 else float(self.scaling.scales[number, 0])


def leaves_its_range(split: Split) -> float:
    """The share of the validation part that is outside of what the training part had, by half a standard deviation.

    >>> leaves_its_range(Split(Series("x", np.arange(8.0)), valid_begin=4, test_begin=6))
    1.0
    """
    train = split.series.values[: split.valid_begin]
    margin = train.std() / 2
    valid = split.series.values[split.valid_begin : split.test_begin]
    return float(((valid < train.min() - margin) | (valid > train.max() + margin)).mean())

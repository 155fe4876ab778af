"""Counts and distributions that every request adds to.

Those of prometheus_client take a lock and walk along their buckets, which costs a request a tenth of its time. These
are plain numbers, changed by the event loop alone, and become Prometheus' series when somebody asks for them.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

Labels = tuple[str, ...]
Value = TypeVar("Value")


class Count:
    """How often something happened."""

    def __init__(self) -> None:
        self.value = 0


class Distribution:
    """How many values fell into each bucket, and their sum.

    >>> seconds = Distribution((0.1, 1.0))
    >>> for value in (0.1, 0.5, 30.0): seconds.observe(value)
    >>> seconds.counts, seconds.sum
    ([1, 1, 1], 30.6)
    """

    def __init__(self, bounds: Sequence[float]):
        self.bounds, self.counts, self.sum = bounds, [0] * (len(bounds) + 1), 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class Family(Generic[Value]):
    """The series of one name, by the values of its labels."""

    def __init__(self, name: str, help: str, labels: Labels):
        self.name, self.help, self.labels = name, help, labels
        self.series: dict[Labels, Value] = {}

    def new(self) -> Value:
        raise NotImplementedError

    def of(self, *values: str) -> Value:
        """The series with these labels; the same each time."""
        if values not in self.series:
            self.series[values] = self.new()
        return self.series[values]


class Counts(Family[Count]):
    def new(self) -> Count:
        return Count()

    def collected(self) -> CounterMetricFamily:
        family = CounterMetricFamily(self.name, self.help, labels=self.labels)
        for values, count in list(self.series.items()):
            family.add_metric(values, count.value)
        return family


class Distributions(Family[Distribution]):
    def __init__(self, name: str, help: str, labels: Labels, bounds: Sequence[float]):
        super().__init__(name, help, labels)
        self.bounds = bounds

    def new(self) -> Distribution:
        return Distribution(self.bounds)

    def collected(self) -> HistogramMetricFamily:
        family = HistogramMetricFamily(self.name, self.help, labels=self.labels)
        limits = [floatToGoString(bound) for bound in (*self.bounds, math.inf)]
        for values, series in list(self.series.items()):
            family.add_metric(values, list(zip(limits, cumulative(series.counts), strict=True)), series.sum)
        return family


def cumulative(counts: Iterable[int]) -> list[int]:
    """As Prometheus has them: each bucket holds those before it.

    >>> cumulative([1, 0, 2])
    [1, 1, 3]
    """
    total, sums = 0, []
    for count in list(counts):
        total += count
        sums.append(total)
    return sums


class Series(Collector):
    """What a registry asks for the families."""

    def __init__(self, *families: Counts | Distributions):
        self.families = families

    def collect(self) -> Iterable[CounterMetricFamily | HistogramMetricFamily]:
        return [family.collected() for family in self.families]
